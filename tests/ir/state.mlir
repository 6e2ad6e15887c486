// A leaky sum: s <- 0.5 s + x, y = s. What is kept between calls is the state.
// targets: portable riscv64 cortex-m4
module attributes {adze.level = 1 : i64, adze.name = "leaky"} {
  "adze.state"() {sym_name = "s", type = tensor<1x7xf32>, initial = "", region = "state"} : () -> ()
  func.func @run(%x: tensor<1x7xf32> {adze.name = "x"}) -> (tensor<1x7xf32> {adze.name = "y"})
      attributes {adze.entry} {
    %half = "adze.constant"() {value = dense<0.5> : tensor<f32>, adze.node = "half"} : () -> tensor<f32>
    %s = "adze.state_read"() {state = "s", adze.node = "read"} : () -> tensor<1x7xf32>
    %d = "adze.binary"(%s, %half) {kind = "mul", adze.node = "decay"} : (tensor<1x7xf32>, tensor<f32>) -> tensor<1x7xf32>
    %y = "adze.binary"(%d, %x) {kind = "add", adze.node = "sum"} : (tensor<1x7xf32>, tensor<1x7xf32>) -> tensor<1x7xf32>
    "adze.state_write"(%y) {state = "s", adze.node = "write"} : (tensor<1x7xf32>) -> ()
    return %y : tensor<1x7xf32>
  }
}
