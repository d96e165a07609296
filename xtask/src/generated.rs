//! Generated files: writing them, and comparing them with what is committed.

use std::{fs, io, path::Path};

use crate::{Workspace, error::Error};

/// One source of generated files.
pub(crate) struct Generator {
    /// The command of this tool that writes the files.
    pub(crate) command: &'static str,
    /// Makes the files in memory.
    pub(crate) generate: fn(&Workspace) -> Result<Vec<GeneratedFile>, Error>,
}

/// A file as it should be committed.
#[derive(Debug)]
pub(crate) struct GeneratedFile {
    /// Its path from the root of the workspace, with forward slashes.
    pub(crate) path: String,
    /// Its whole content.
    pub(crate) content: String,
}

/// What a check of one generator found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// So many committed files are as generated.
    Current(usize),
    /// The committed files at these paths are missing or differ.
    Stale(Vec<String>),
    /// Nothing could be compared, for this reason.
    LeftOut(String),
}

impl Generator {
    /// Generates in memory and compares with the committed files.
    pub(crate) fn check(&self, workspace: &Workspace) -> Result<Finding, Error> {
        let files = match (self.generate)(workspace) {
            Ok(files) => files,
            Err(Error::Unavailable(reason)) => return Ok(Finding::LeftOut(reason)),
            Err(error) => return Err(error),
        };
        let mut stale = Vec::new();
        for file in &files {
            if !file.is_current(&workspace.root)? {
                stale.push(file.path.clone());
            }
        }
        Ok(if stale.is_empty() { Finding::Current(files.len()) } else { Finding::Stale(stale) })
    }
}

impl GeneratedFile {
    /// Writes the file below `root`.
    pub(crate) fn write(&self, root: &Path) -> Result<(), Error> {
        let path = root.join(&self.path);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(Error::at(directory))?;
        }
        fs::write(&path, &self.content).map_err(Error::at(path))
    }

    /// Whether the file below `root` has this content; a missing file has not.
    fn is_current(&self, root: &Path) -> Result<bool, Error> {
        let path = root.join(&self.path);
        match fs::read(&path) {
            Ok(bytes) => Ok(bytes == self.content.as_bytes()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::Io(path, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(name: &str) -> Workspace {
        let root = std::env::temp_dir().join(format!("tessera-xtask-{name}-{}", std::process::id()));
        let target = root.join("target");
        Workspace { root, target }
    }

    fn two(_: &Workspace) -> Result<Vec<GeneratedFile>, Error> {
        let file = |path: &str| GeneratedFile { path: path.to_owned(), content: "{}\n".to_owned() };
        Ok(vec![file("a/one"), file("a/two")])
    }

    #[test]
    fn names_missing_and_changed_files() {
        let workspace = workspace("stale");
        let generator = Generator { command: "two", generate: two };
        let both = vec!["a/one".to_owned(), "a/two".to_owned()];
        assert_eq!(generator.check(&workspace).unwrap(), Finding::Stale(both));
        for file in two(&workspace).unwrap() {
            file.write(&workspace.root).unwrap();
        }
        assert_eq!(generator.check(&workspace).unwrap(), Finding::Current(2));
        fs::write(workspace.root.join("a/two"), "{}").unwrap();
        assert_eq!(generator.check(&workspace).unwrap(), Finding::Stale(vec!["a/two".to_owned()]));
        fs::remove_dir_all(&workspace.root).unwrap();
    }

    #[test]
    fn leaves_out_what_has_no_source() {
        let generator = Generator { command: "none", generate: |_| Err(Error::Unavailable("no network".to_owned())) };
        let found = generator.check(&workspace("left-out")).unwrap();
        assert_eq!(found, Finding::LeftOut("no network".to_owned()));
    }
}
