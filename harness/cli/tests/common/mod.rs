//! The program, started in a folder, and how it ended.

use std::{
    path::Path,
    process::{Command, Output},
};

/// How the program ended.
pub struct Ended {
    /// Exit code.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// Runs the program in `folder` to its end.
pub fn call<'a>(folder: &Path, arguments: impl IntoIterator<Item = &'a str>) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_attribench"));
    command.args(arguments).current_dir(folder);
    command.output().expect("the program can be started").into()
}
