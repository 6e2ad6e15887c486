// Two states that change places in every call, and one that is written before it is read.
// targets: portable riscv64
module attributes {adze.level = 1 : i64, adze.name = "swap"} {
  "adze.state"() {sym_name = "a", type = tensor<3xf32>, initial = "", region = "state"} : () -> ()
  "adze.state"() {sym_name = "b", type = tensor<3xf32>, initial = "", region = "state"} : () -> ()
  "adze.state"() {sym_name = "c", type = tensor<3xf32>, initial = "", region = "state"} : () -> ()
  func.func @run(%x: tensor<3xf32> {adze.name = "x"})
      -> (tensor<3xf32> {adze.name = "p"}, tensor<3xf32> {adze.name = "q"}, tensor<3xf32> {adze.name = "r"})
      attributes {adze.entry} {
    %a = "adze.state_read"() {state = "a", adze.node = "a"} : () -> tensor<3xf32>
    %b = "adze.state_read"() {state = "b", adze.node = "b"} : () -> tensor<3xf32>
    %p = "adze.binary"(%a, %x) {kind = "add", adze.node = "p"} : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
    "adze.state_write"(%b) {state = "a", adze.node = "wa"} : (tensor<3xf32>) -> ()
    "adze.state_write"(%p) {state = "b", adze.node = "wb"} : (tensor<3xf32>) -> ()
    "adze.state_write"(%x) {state = "c", adze.node = "wc"} : (tensor<3xf32>) -> ()
    %c = "adze.state_read"() {state = "c", adze.node = "c"} : () -> tensor<3xf32>
    %r = "adze.binary"(%c, %b) {kind = "sub", adze.node = "r"} : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
    return %p, %b, %r : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
  }
}
