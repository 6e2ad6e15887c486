// A sequence of 1 to 9 rows: matmul, softmax along the rows' features, concatenation with the input.
// targets: portable riscv64 cortex-m4
module attributes {adze.level = 1 : i64, adze.name = "bounded"} {
  "adze.dim"() {sym_name = "T", lo = 1 : i64, hi = 9 : i64} : () -> ()
  func.func @run(%x: tensor<?x3xf32, {dims = ["T", ""]}> {adze.name = "x"})
      -> (tensor<?x6xf32, {dims = ["T", ""]}> {adze.name = "y"}) attributes {adze.entry} {
    %none = "adze.none"() : () -> !adze.absent
    %w = "adze.constant"() {value = dense<[[1.0, 2.0, -1.0], [0.5, -0.25, 3.0], [0.0, 1.5, 2.5]]> : tensor<3x3xf32>, adze.node = "w"} : () -> tensor<3x3xf32>
    %m = "adze.matmul"(%x, %w, %none) {trans_a = false, trans_b = false, adze.node = "project"} : (tensor<?x3xf32, {dims = ["T", ""]}>, tensor<3x3xf32>, !adze.absent) -> tensor<?x3xf32, {dims = ["T", ""]}>
    %p = "adze.softmax"(%m) {axis = 1 : i64, log = false, adze.node = "softmax"} : (tensor<?x3xf32, {dims = ["T", ""]}>) -> tensor<?x3xf32, {dims = ["T", ""]}>
    %y = tensor.concat dim(1) %x, %p : (tensor<?x3xf32, {dims = ["T", ""]}>, tensor<?x3xf32, {dims = ["T", ""]}>) -> tensor<?x6xf32, {dims = ["T", ""]}>
    return %y : tensor<?x6xf32, {dims = ["T", ""]}>
  }
}
