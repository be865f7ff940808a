//! What is compiled once, and used by every check that says the same.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;

/// The most that is kept; beyond this number one is dropped for each that is added.
pub(crate) const KEPT_MAX: usize = 256;

/// Compiled forms by what they were compiled of, shared by the probes of a process: compiling costs more
/// than most checks, and every worker sees the same few texts. Clones share what is kept.
#[derive(Debug)]
pub(crate) struct Cache<K, V>(Arc<Mutex<HashMap<K, V>>>);

impl<K, V> Clone for Cache<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
    /// What is kept of `key`; where nothing is, what `compile` makes of it.
    pub(crate) fn get_or<Q: Eq + Hash + ?Sized>(&self, key: &Q, compile: impl FnOnce() -> (K, V)) -> V
    where
        K: Borrow<Q>,
    {
        let compiled: Result<V, std::convert::Infallible> = self.get_or_try(key, || Ok(compile()));
        match compiled {
            Ok(compiled) => compiled,
        }
    }

    /// What is kept of `key`; where nothing is, what `compile` makes of it.
    ///
    /// # Errors
    /// What `compile` says, which is not kept.
    pub(crate) fn get_or_try<Q: Eq + Hash + ?Sized, E>(
        &self,
        key: &Q,
        compile: impl FnOnce() -> Result<(K, V), E>,
    ) -> Result<V, E>
    where
        K: Borrow<Q>,
    {
        if let Some(known) = self.0.lock().get(key) {
            return Ok(known.clone());
        }
        // Compiled outside the lock: two workers may do it at once, and nobody waits for them.
        let (key, compiled) = compile()?;
        let mut kept = self.0.lock();
        if kept.len() >= KEPT_MAX
            && let Some(any) = kept.keys().next().cloned()
        {
            kept.remove::<K>(&any);
        }
        kept.insert(key, compiled.clone());
        Ok(compiled)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }
}
