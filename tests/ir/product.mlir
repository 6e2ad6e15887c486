// Products of two values: transposed, with epilogues, more of k than a panel takes, any order of axes.
// targets: portable x86-64-v2 x86-64-v3 x86-64-v4 aarch64 armv9-sve riscv64-v wasm32-simd
module attributes {adze.level = 1 : i64, adze.name = "m"} {
  func.func @run(%a: tensor<2x3x17x29xf32> {adze.name = "a"}, %b: tensor<2x3x53x29xf32> {adze.name = "b"}, %c: tensor<2x2x900x11xf32> {adze.name = "c"}, %d: tensor<2x900x70xf32> {adze.name = "d"}, %e: tensor<33x1100xf32> {adze.name = "e"}, %f: tensor<70x1100xf32> {adze.name = "f"}, %g: tensor<2x3x17x29xf32> {adze.name = "g"}, %h: tensor<2x29x3x21xf32> {adze.name = "h"})
      -> (tensor<2x3x17x53xf32> {adze.name = "y0"}, tensor<2x11x2x70xf32> {adze.name = "y1"}, tensor<33x70xf32> {adze.name = "y2"}, tensor<2x17x3x21xf32> {adze.name = "y3"}) attributes {adze.entry} {
    %none = "adze.none"() : () -> !adze.absent
    %t1 = "adze.matmul"(%a, %b, %none) {adze.node = "n1", trans_a = false, trans_b = true} : (tensor<2x3x17x29xf32>, tensor<2x3x53x29xf32>, !adze.absent) -> tensor<2x3x17x53xf32>
    %t2 = "adze.unary"(%t1) {adze.node = "n2", kind = "gelu", params = array<f64>} : (tensor<2x3x17x53xf32>) -> tensor<2x3x17x53xf32>
    %t3 = "adze.matmul"(%c, %d, %none) {adze.node = "n3", trans_a = true, trans_b = false} : (tensor<2x2x900x11xf32>, tensor<2x900x70xf32>, !adze.absent) -> tensor<2x2x11x70xf32>
    %t4 = "adze.transpose"(%t3) {adze.node = "n4", perm = array<i64: 0, 2, 1, 3>} : (tensor<2x2x11x70xf32>) -> tensor<2x11x2x70xf32>
    %t5 = "adze.matmul"(%e, %f, %none) {adze.node = "n5", trans_a = false, trans_b = true} : (tensor<33x1100xf32>, tensor<70x1100xf32>, !adze.absent) -> tensor<33x70xf32>
    %t6 = "adze.unary"(%t5) {adze.node = "n6", kind = "relu", params = array<f64>} : (tensor<33x70xf32>) -> tensor<33x70xf32>
    %t7 = "adze.einsum"(%g, %h) {adze.node = "n7", equation = "bhqk,bkhd->bqhd"} : (tensor<2x3x17x29xf32>, tensor<2x29x3x21xf32>) -> tensor<2x17x3x21xf32>
    return %t2, %t4, %t6, %t7 : tensor<2x3x17x53xf32>, tensor<2x11x2x70xf32>, tensor<33x70xf32>, tensor<2x17x3x21xf32>
  }
}
