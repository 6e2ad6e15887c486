// A branch on data, whose sides share a value from outside; and a tap on that value.
// targets: portable riscv64 cortex-m4
module attributes {adze.level = 1 : i64, adze.name = "branch"} {
  func.func @run(%x: tensor<2x5xf32> {adze.name = "x"}) -> (tensor<2x5xf32> {adze.name = "y"})
      attributes {adze.entry} {
    %zero = "adze.constant"() {value = dense<0.0> : tensor<f32>, adze.node = "zero"} : () -> tensor<f32>
    %sum = "adze.reduce"(%x) {kind = "sum", axes = array<i64: 0, 1>, adze.node = "total"} : (tensor<2x5xf32>) -> tensor<f32>
    %positive = "adze.binary"(%sum, %zero) {kind = "greater", adze.node = "positive"} : (tensor<f32>, tensor<f32>) -> tensor<i1>
    %e = "adze.unary"(%x) {kind = "exp", params = array<f64>, adze.node = "exp"} : (tensor<2x5xf32>) -> tensor<2x5xf32>
    "adze.tap"(%e) {name = "exp", adze.node = "exp"} : (tensor<2x5xf32>) -> ()
    %flag = tensor.extract %positive[] : tensor<i1>
    %y = scf.if %flag -> (tensor<2x5xf32>) {
      %a = "adze.binary"(%e, %x) {kind = "add", adze.node = "then_add"} : (tensor<2x5xf32>, tensor<2x5xf32>) -> tensor<2x5xf32>
      scf.yield %a : tensor<2x5xf32>
    } else {
      %b = "adze.unary"(%e) {kind = "neg", params = array<f64>, adze.node = "else_neg"} : (tensor<2x5xf32>) -> tensor<2x5xf32>
      %c = "adze.binary"(%b, %x) {kind = "mul", adze.node = "else_mul"} : (tensor<2x5xf32>, tensor<2x5xf32>) -> tensor<2x5xf32>
      scf.yield %c : tensor<2x5xf32>
    }
    return %y : tensor<2x5xf32>
  }
}
