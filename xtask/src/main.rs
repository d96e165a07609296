//! Writes the files of this workspace which are generated and committed, and checks that they are current.
//!
//! `cargo xtask definitions` rewrites the R4 tables of the model crate; `cargo xtask check` regenerates everything in
//! memory and fails when a committed file differs.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks to its user")]

mod definitions;
mod error;
mod generated;
mod package;

use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
};

use error::Error;
use generated::{Finding, Generator};

/// What the tool answers to an unknown command.
const USAGE: &str = "usage: cargo xtask <command>

commands:
  definitions   write the R4 definition tables of crates/model from HL7's package
  check         fail when a generated file that is committed is not current";

/// Everything this tool generates; `check` goes through all of it.
const GENERATORS: [Generator; 1] = [definitions::GENERATOR];

/// Where files are read from and written to.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The root of the workspace, which the paths of generated files start from.
    root: PathBuf,
    /// Cargo's target directory, below which downloads are cached.
    target: PathBuf,
}

impl Workspace {
    /// The workspace this tool was built in.
    fn current() -> Self {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest.parent().unwrap_or(manifest).to_path_buf();
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
        Self { root, target }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let workspace = Workspace::current();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["check"] => check(&workspace),
        [command] => match GENERATORS.iter().find(|generator| generator.command == *command) {
            Some(generator) => write(&workspace, generator),
            None => Err(Error::Usage(USAGE)),
        },
        _ => Err(Error::Usage(USAGE)),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes what `generator` makes.
fn write(workspace: &Workspace, generator: &Generator) -> Result<ExitCode, Error> {
    for file in (generator.generate)(workspace)? {
        file.write(&workspace.root)?;
        println!("{}: {} lines, {} bytes", file.path, file.content.lines().count(), file.content.len());
    }
    Ok(ExitCode::SUCCESS)
}

/// Compares what every generator makes with what is committed.
fn check(workspace: &Workspace) -> Result<ExitCode, Error> {
    let mut code = ExitCode::SUCCESS;
    for generator in &GENERATORS {
        match generator.check(workspace)? {
            Finding::Current(count) => println!("{}: {count} files are current", generator.command),
            Finding::LeftOut(reason) => println!("{}: check left out: {reason}", generator.command),
            Finding::Stale(paths) => {
                code = ExitCode::FAILURE;
                for path in paths {
                    eprintln!("{path} is stale: run `cargo xtask {}` and commit the result", generator.command);
                }
            }
        }
    }
    Ok(code)
}
