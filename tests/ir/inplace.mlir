// An elementwise kernel over rows that no vector divides, written over its input: long loops of short rows, with a tail.
// targets: portable x86-64-v3 x86-64-v4 aarch64 armv9-sve riscv64-v
module attributes {adze.level = 1 : i64, adze.name = "inplace"} {
  func.func @run(%x: tensor<3x67xf32> {adze.name = "x"}) -> (tensor<3x67xf32> {adze.name = "y"}, tensor<3x67xf32> {adze.name = "z"}) attributes {adze.entry} {
    %a = "adze.softmax"(%x) {axis = 1 : i64, log = false, adze.node = "softmax"} : (tensor<3x67xf32>) -> tensor<3x67xf32>
    %b = "adze.unary"(%a) {kind = "gelu", params = array<f64>, adze.node = "gelu"} : (tensor<3x67xf32>) -> tensor<3x67xf32>
    %y = "adze.softmax"(%b) {axis = 1 : i64, log = false, adze.node = "rows"} : (tensor<3x67xf32>) -> tensor<3x67xf32>
    %z = "adze.softmax"(%b) {axis = 0 : i64, log = true, adze.node = "columns"} : (tensor<3x67xf32>) -> tensor<3x67xf32>
    return %y, %z : tensor<3x67xf32>, tensor<3x67xf32>
  }
}
