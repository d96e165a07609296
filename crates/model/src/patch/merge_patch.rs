//! JSON Merge Patch: an object like the resource, holding what is to change; `null` takes a member away.
//! <https://www.rfc-editor.org/rfc/rfc7396>

use super::tree::Tree;
use crate::json::{Kind, Node};

/// The target with the patch merged into it. Neither is deeper than a document may be, and so is the result.
pub(super) fn merge<'a>(target: &mut Tree<'a>, patch: Node<'a>) {
    if patch.kind() != Kind::Object {
        *target = Tree::Whole(patch);
        return;
    }
    if !matches!(target.open(), Tree::Object(_)) {
        *target = Tree::Object(Vec::new());
    }
    let Tree::Object(members) = target else { return };
    // The names of a patch are all different: what it has added need not be searched for again.
    let mut old = members.len();
    for change in patch.children() {
        let name = change.name();
        let at = members[..old].iter().position(|(found, _)| *found == name);
        match (at, change.kind()) {
            (Some(at), Kind::Null) => {
                members.remove(at);
                old -= 1;
            }
            (None, Kind::Null) => {}
            (Some(at), _) => merge(&mut members[at].1, change),
            (None, _) => {
                let mut value = Tree::Object(Vec::new());
                merge(&mut value, change);
                members.push((name, value));
            }
        }
    }
}
