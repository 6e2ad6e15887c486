// One weight, read by two convolutions whose windows fall into other runs: dilations decide which taps are neighbours.
// targets: portable x86-64-v4 armv8.2-dotprod riscv64-v
module attributes {adze.level = 1 : i64, adze.name = "m"} {
  func.func @run(%x: tensor<1x3x9x9xi8> {adze.name = "x"})
      -> (tensor<1x4x7x7xi32> {adze.name = "near"}, tensor<1x4x5x5xi32> {adze.name = "far"}) attributes {adze.entry} {
    %none = "adze.none"() : () -> !adze.absent
    %c = "adze.constant"() {value = dense<[[[[1, -2, 3]], [[-4, 5, 6]], [[7, 8, -9]]], [[[11, -12, 13]], [[-14, 15, 16]], [[17, 18, -19]]], [[[21, -22, 23]], [[-24, 25, 26]], [[27, 28, -29]]], [[[31, -32, 33]], [[-34, 35, 36]], [[37, 38, -39]]]]> : tensor<4x3x1x3xi8>} : () -> tensor<4x3x1x3xi8>
    %w = "adze.tile"(%c) {adze.node = "w"} : (tensor<4x3x1x3xi8>) -> tensor<4x3x3x3xi8>
    %a = "adze.conv"(%x, %w, %none) {adze.node = "a", layout = "channels_first", strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, group = 1 : i64} : (tensor<1x3x9x9xi8>, tensor<4x3x3x3xi8>, !adze.absent) -> tensor<1x4x7x7xi32>
    %b = "adze.conv"(%x, %w, %none) {adze.node = "b", layout = "channels_first", strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, dilations = array<i64: 2, 2>, group = 1 : i64} : (tensor<1x3x9x9xi8>, tensor<4x3x3x3xi8>, !adze.absent) -> tensor<1x4x5x5xi32>
    return %a, %b : tensor<1x4x7x7xi32>, tensor<1x4x5x5xi32>
  }
}
