//! A shelf: the objects of one kind.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use hostcompute_schema::Guid;

/// Objects of one kind, by id and in order of creation.
#[derive(Debug, Clone)]
pub struct Shelf<T> {
    by_id: BTreeMap<Guid, (u64, Arc<T>)>,
    order: BTreeMap<u64, Guid>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { by_id: BTreeMap::new(), order: BTreeMap::new() }
    }
}

impl<T> Shelf<T> {
    pub fn get(&self, id: Guid) -> Option<&Arc<T>> {
        self.by_id.get(&id).map(|(_, object)| object)
    }

    /// All objects, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.order.values().filter_map(|id| self.get(*id))
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(super) fn put(&mut self, id: Guid, sequence: u64, object: Arc<T>) -> Option<Arc<T>> {
        self.order.insert(sequence, id);
        self.by_id.insert(id, (sequence, object)).map(|(_, old)| old)
    }

    pub(super) fn remove(&mut self, id: Guid) -> Option<Arc<T>> {
        let (sequence, object) = self.by_id.remove(&id)?;
        self.order.remove(&sequence);
        Some(object)
    }

    /// The objects of which something is true, oldest first.
    pub(super) fn find(&self, is: impl Fn(&T) -> bool) -> Vec<Guid> {
        let found = self.by_id.iter().filter(|(_, (_, object))| is(object));
        let mut found: Vec<(u64, Guid)> = found.map(|(id, (order, _))| (*order, *id)).collect();
        found.sort_unstable();
        found.into_iter().map(|(_, id)| id).collect()
    }

    /// Ids that begin with the given hexadecimal digits (dashes where a GUID has them), in id order.
    pub(super) fn with_prefix(&self, prefix: &str) -> Vec<Guid> {
        let matches = |id: &&Guid| alloc::format!("{id}").starts_with(prefix);
        self.by_id.keys().filter(matches).copied().collect()
    }
}
