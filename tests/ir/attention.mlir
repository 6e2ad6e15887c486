// Attention: several blocks of keys with a mask, heads last; one block without heads.
// targets: portable x86-64-v2 x86-64-v3 x86-64-v4 aarch64 armv9-sve riscv64-v wasm32-simd
module attributes {adze.level = 1 : i64, adze.name = "m"} {
  func.func @run(%q: tensor<2x17x3x23xf32> {adze.name = "q"}, %k: tensor<2x150x3x23xf32> {adze.name = "k"}, %v: tensor<2x3x150x13xf32> {adze.name = "v"}, %mask: tensor<17x150xf32> {adze.name = "mask"}, %q3: tensor<5x9x16xf32> {adze.name = "q3"}, %k3: tensor<5x20x16xf32> {adze.name = "k3"}, %v3: tensor<5x20x33xf32> {adze.name = "v3"})
      -> (tensor<2x17x3x13xf32> {adze.name = "y0"}, tensor<5x9x33xf32> {adze.name = "y1"}) attributes {adze.entry} {
    %none = "adze.none"() : () -> !adze.absent
    %t1 = "adze.transpose"(%q) {adze.node = "n1", perm = array<i64: 0, 2, 1, 3>} : (tensor<2x17x3x23xf32>) -> tensor<2x3x17x23xf32>
    %t2 = "adze.transpose"(%k) {adze.node = "n2", perm = array<i64: 0, 2, 3, 1>} : (tensor<2x150x3x23xf32>) -> tensor<2x3x23x150xf32>
    %t3 = "adze.matmul"(%t1, %t2, %none) {adze.node = "n3", trans_a = false, trans_b = false} : (tensor<2x3x17x23xf32>, tensor<2x3x23x150xf32>, !adze.absent) -> tensor<2x3x17x150xf32>
    %scale = "adze.constant"() {value = dense<0.2> : tensor<f32>} : () -> tensor<f32>
    %t4 = "adze.binary"(%t3, %scale) {adze.node = "n4", kind = "mul"} : (tensor<2x3x17x150xf32>, tensor<f32>) -> tensor<2x3x17x150xf32>
    %t5 = "adze.binary"(%t4, %mask) {adze.node = "n5", kind = "add"} : (tensor<2x3x17x150xf32>, tensor<17x150xf32>) -> tensor<2x3x17x150xf32>
    %t6 = "adze.softmax"(%t5) {adze.node = "n6", axis = 3 : i64, log = false} : (tensor<2x3x17x150xf32>) -> tensor<2x3x17x150xf32>
    %t7 = "adze.matmul"(%t6, %v, %none) {adze.node = "n7", trans_a = false, trans_b = false} : (tensor<2x3x17x150xf32>, tensor<2x3x150x13xf32>, !adze.absent) -> tensor<2x3x17x13xf32>
    %t8 = "adze.transpose"(%t7) {adze.node = "n8", perm = array<i64: 0, 2, 1, 3>} : (tensor<2x3x17x13xf32>) -> tensor<2x17x3x13xf32>
    %t9 = "adze.matmul"(%q3, %k3, %none) {adze.node = "n9", trans_a = false, trans_b = true} : (tensor<5x9x16xf32>, tensor<5x20x16xf32>, !adze.absent) -> tensor<5x9x20xf32>
    %t10 = "adze.softmax"(%t9) {adze.node = "n10", axis = 2 : i64, log = false} : (tensor<5x9x20xf32>) -> tensor<5x9x20xf32>
    %t11 = "adze.matmul"(%t10, %v3, %none) {adze.node = "n11", trans_a = false, trans_b = false} : (tensor<5x9x20xf32>, tensor<5x20x33xf32>, !adze.absent) -> tensor<5x9x33xf32>
    return %t8, %t11 : tensor<2x17x3x13xf32>, tensor<5x9x33xf32>
  }
}
