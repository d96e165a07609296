//! JSON Patch: a list of operations on JSON values, each at a JSON Pointer.
//! <https://www.rfc-editor.org/rfc/rfc6902> <https://www.rfc-editor.org/rfc/rfc6901>

use super::{
    COPIED_BYTES_MAX, OPERATIONS_MAX, failed,
    tree::{Allowance, Tree},
};
use crate::{
    Error,
    json::{DEPTH_MAX, Document, Kind, Node},
};

/// A parsed JSON Patch.
#[derive(Clone, Debug)]
pub struct JsonPatch {
    document: Document,
    operations: Vec<Operation>,
}

/// One operation; a value is a position in the patch's document.
#[derive(Clone, Debug)]
enum Operation {
    Add { path: Pointer, value: u32 },
    Remove { path: Pointer },
    Replace { path: Pointer, value: u32 },
    Move { from: Pointer, path: Pointer },
    Copy { from: Pointer, path: Pointer },
    Test { path: Pointer, value: u32 },
}

/// The steps of a JSON Pointer, unescaped.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pointer(Vec<String>);

impl JsonPatch {
    pub(super) fn root(&self) -> Node<'_> {
        self.document.root()
    }

    pub(super) fn parse(document: Document) -> Result<Self, Error> {
        let root = document.root();
        if root.kind() != Kind::Array {
            return Err(Error::BadPatch("a JSON Patch is an array of operations".into()));
        }
        if root.children().count() > OPERATIONS_MAX {
            return Err(Error::BadPatch(format!("a patch has at most {OPERATIONS_MAX} operations")));
        }
        let operation = |(n, node)| {
            Operation::parse(node).map_err(|reason| Error::BadPatch(format!("operation {n} of the patch: {reason}")))
        };
        let operations = root.children().enumerate().map(operation).collect::<Result<_, _>>()?;
        Ok(Self { document, operations })
    }

    pub(super) fn apply<'a>(&'a self, root: &mut Tree<'a>) -> Result<(), Error> {
        let mut allowance = Allowance::new(COPIED_BYTES_MAX);
        for (n, operation) in self.operations.iter().enumerate() {
            operation
                .perform(&self.document, root, &mut allowance)
                .map_err(|reason| failed(format!("operation {n} of the patch, {}: {reason}", operation.describe())))?;
        }
        Ok(())
    }
}

impl Operation {
    fn parse(node: Node<'_>) -> Result<Self, String> {
        let pointer = |name: &str| match node.get(name) {
            Some(member) => Pointer::parse(&member.as_str().ok_or(format!("\"{name}\" is no string"))?),
            None => Err(format!("it has no \"{name}\"")),
        };
        let value = || node.get("value").map(Node::position).ok_or("it has no \"value\"".to_owned());
        let name = node.get_str("op").ok_or("it has no \"op\"")?;
        let path = pointer("path")?;
        Ok(match &*name {
            "add" => Self::Add { path, value: value()? },
            "remove" => Self::Remove { path },
            "replace" => Self::Replace { path, value: value()? },
            "move" => {
                let from = pointer("from")?;
                if path.0.len() > from.0.len() && path.0.starts_with(&from.0) {
                    return Err("nothing can be moved into itself".into());
                }
                Self::Move { from, path }
            }
            "copy" => Self::Copy { from: pointer("from")?, path },
            "test" => Self::Test { path, value: value()? },
            _ => return Err("\"op\" is one of add, remove, replace, move, copy and test".into()),
        })
    }

    fn perform<'a>(&self, patch: &'a Document, root: &mut Tree<'a>, allowance: &mut Allowance) -> Result<(), String> {
        match self {
            Self::Add { path, value } => add(root, path, Tree::Whole(patch.at(*value)), allowance),
            Self::Remove { path } => remove(root, path).map(drop),
            Self::Replace { path, value } => {
                let value = Tree::Whole(patch.at(*value));
                allowance.admit(&value, path.0.len())?;
                *find(root, &path.0)? = value;
                Ok(())
            }
            Self::Move { from, path } if from == path => find(root, &path.0).map(drop),
            Self::Move { from, path } => {
                let value = remove(root, from)?;
                add(root, path, value, allowance)
            }
            Self::Copy { from, path } => {
                let value = find(root, &from.0)?;
                // Before it is copied, not after: the copy of a copy of a copy grows fast.
                allowance.admit(value, path.0.len())?;
                let value = value.clone();
                add(root, path, value, allowance)
            }
            Self::Test { path, value } => match find(root, &path.0)?.equals(patch.at(*value)) {
                true => Ok(()),
                false => Err("there is another value".into()),
            },
        }
    }

    /// What an error names it by; a path is the client's own words.
    fn describe(&self) -> String {
        let (name, path) = match self {
            Self::Add { path, .. } => ("add", path),
            Self::Remove { path } => ("remove", path),
            Self::Replace { path, .. } => ("replace", path),
            Self::Move { path, .. } => ("move", path),
            Self::Copy { path, .. } => ("copy", path),
            Self::Test { path, .. } => ("test", path),
        };
        let steps: String = path.0.iter().map(|step| format!("/{step}")).collect();
        format!("{name} \"{}\"", steps.chars().take(100).collect::<String>())
    }
}

impl Pointer {
    fn parse(text: &str) -> Result<Self, String> {
        let Some(steps) = text.strip_prefix('/') else {
            return if text.is_empty() { Ok(Self(Vec::new())) } else { Err("a JSON Pointer begins with /".into()) };
        };
        let steps: Vec<&str> = steps.split('/').collect();
        if steps.len() > DEPTH_MAX {
            return Err(format!("a JSON Pointer has at most {DEPTH_MAX} steps"));
        }
        let unescape = |step: &&str| {
            let bad = step.match_indices('~').any(|(at, _)| !matches!(step.as_bytes().get(at + 1), Some(b'0' | b'1')));
            if bad {
                return Err("a ~ in a JSON Pointer is written ~0, a / is written ~1".to_owned());
            }
            // ~1 first: ~01 is ~1, and not /.
            Ok(step.replace("~1", "/").replace("~0", "~"))
        };
        Ok(Self(steps.iter().map(unescape).collect::<Result<_, _>>()?))
    }
}

/// The value at a pointer.
fn find<'t, 'a>(root: &'t mut Tree<'a>, steps: &[String]) -> Result<&'t mut Tree<'a>, String> {
    let mut at = root;
    for step in steps {
        at = match at.open() {
            Tree::Array(items) => {
                let index = index(step, items.len())?;
                items.get_mut(index).ok_or_else(|| no_item(step))?
            }
            object => object.member(step).ok_or_else(|| format!("there is no \"{}\"", shortened(step)))?,
        };
    }
    Ok(at)
}

fn add<'a>(root: &mut Tree<'a>, path: &Pointer, value: Tree<'a>, allowance: &mut Allowance) -> Result<(), String> {
    allowance.admit(&value, path.0.len())?;
    let Some((last, parent)) = path.0.split_last() else {
        *root = value;
        return Ok(());
    };
    match find(root, parent)?.open() {
        Tree::Array(items) => {
            let at = if last == "-" { items.len() } else { index(last, items.len())? };
            if at > items.len() {
                return Err(no_item(last));
            }
            items.insert(at, value);
        }
        object @ Tree::Object(_) => object.set(last.clone().into(), value),
        Tree::Whole(_) | Tree::Null => return Err("what should hold it is neither object nor array".into()),
    }
    Ok(())
}

fn remove<'a>(root: &mut Tree<'a>, path: &Pointer) -> Result<Tree<'a>, String> {
    let (last, parent) = path.0.split_last().ok_or("the whole resource cannot be taken away")?;
    match find(root, parent)?.open() {
        Tree::Array(items) => {
            let at = index(last, items.len())?;
            if at >= items.len() {
                return Err(no_item(last));
            }
            Ok(items.remove(at))
        }
        object => object.take(last).ok_or_else(|| format!("there is no \"{}\"", shortened(last))),
    }
}

/// An array's index: digits without a zero before them. `-`, the place after the last, holds nothing yet.
fn index(step: &str, length: usize) -> Result<usize, String> {
    if step == "-" {
        return Ok(length);
    }
    let plain = step == "0" || !step.starts_with('0') && step.bytes().all(|b| b.is_ascii_digit());
    step.parse().ok().filter(|_| plain).ok_or_else(|| format!("\"{}\" is no index of an array", shortened(step)))
}

fn no_item(step: &str) -> String {
    format!("the array has no item {}", shortened(step))
}

fn shortened(step: &str) -> String {
    step.chars().take(64).collect()
}
