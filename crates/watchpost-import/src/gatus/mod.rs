//! x
use crate::draft::Import;
use crate::notes::Place;
use crate::tree::Node;
pub(crate) fn import(_root: &Node, _place: &Place, _import: &mut Import) {}
