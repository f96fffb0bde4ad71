//! attribench-cli
fn main() {}
