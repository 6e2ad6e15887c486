// Values with several readers, reshapes of results, an output that is an input, in-place chains.
// targets: portable cortex-m4
module attributes {adze.level = 1 : i64, adze.name = "shared"} {
  func.func @run(%x: tensor<3x4xf32> {adze.name = "x"})
      -> (tensor<12xf32> {adze.name = "flat"}, tensor<3x4xf32> {adze.name = "same"}, tensor<4x3xf32> {adze.name = "turned"})
      attributes {adze.entry} {
    %a = "adze.unary"(%x) {kind = "tanh", params = array<f64>, adze.node = "a"} : (tensor<3x4xf32>) -> tensor<3x4xf32>
    %s = "adze.softmax"(%a) {axis = 1 : i64, log = false, adze.node = "s"} : (tensor<3x4xf32>) -> tensor<3x4xf32>
    %b = "adze.binary"(%a, %s) {kind = "mul", adze.node = "b"} : (tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<3x4xf32>
    %c = "adze.unary"(%s) {kind = "sqrt", params = array<f64>, adze.node = "c"} : (tensor<3x4xf32>) -> tensor<3x4xf32>
    %d = "adze.binary"(%b, %c) {kind = "sub", adze.node = "d"} : (tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<3x4xf32>
    %f = "adze.reshape"(%d) {adze.node = "f"} : (tensor<3x4xf32>) -> tensor<12xf32>
    %t = "adze.transpose"(%d) {perm = array<i64: 1, 0>, adze.node = "t"} : (tensor<3x4xf32>) -> tensor<4x3xf32>
    return %f, %x, %t : tensor<12xf32>, tensor<3x4xf32>, tensor<4x3xf32>
  }
}
