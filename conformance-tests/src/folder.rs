use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;

/// A new temporary folder, removed when dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes the folder; its name contains `purpose`.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new(purpose: &str) -> Self {
        let name = format!("tessera-{purpose}-{}-{:08x}", process::id(), fastrand::u32(..));
        let path = env::temp_dir().join(name);
        match fs::create_dir_all(&path).and_then(|()| path.canonicalize()) {
            Ok(path) => Self(path),
            Err(error) => panic!("no folder {}: {error}", path.display()),
        }
    }

    /// Where it is: absolute, without symbolic links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to the operating system.
        let _ = fs::remove_dir_all(&self.0);
    }
}
