// SPDX-License-Identifier: GPL-2.0

//! Interrupt vectors: an eventfd each, once the guest has enabled them.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

#[derive(Default)]
struct Vector {
    event: Option<File>,
    /// Raised while it had no target: the client disables and enables all
    /// vectors again when their number grows.
    pending: bool,
}

pub struct Irqs {
    vectors: Mutex<Vec<Vector>>,
}

impl Irqs {
    pub fn new(n: u16) -> Self {
        Self {
            vectors: Mutex::new((0..n).map(|_| Vector::default()).collect()),
        }
    }

    /// Gives vectors from `start` on their targets; None takes one away.
    pub fn assign(&self, start: usize, fds: impl Iterator<Item = Option<OwnedFd>>) {
        let mut vectors = self.vectors.lock().unwrap_or_else(PoisonError::into_inner);
        for (v, fd) in vectors.iter_mut().skip(start).zip(fds) {
            v.event = fd.map(File::from);
            if v.event.is_some() && std::mem::take(&mut v.pending) {
                fire(v);
            }
        }
    }

    /// Takes away all targets.
    pub fn disable(&self) {
        let mut vectors = self.vectors.lock().unwrap_or_else(PoisonError::into_inner);
        vectors.iter_mut().for_each(|v| v.event = None);
    }

    /// Takes away all targets and forgets what was pending.
    pub fn reset(&self) {
        let mut vectors = self.vectors.lock().unwrap_or_else(PoisonError::into_inner);
        vectors.iter_mut().for_each(|v| *v = Vector::default());
    }

    pub fn raise(&self, vector: u16) {
        let mut vectors = self.vectors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(v) = vectors.get_mut(usize::from(vector)) {
            fire(v);
        }
    }
}

fn fire(v: &mut Vector) {
    match &mut v.event {
        // An eventfd that is full is an interrupt that is already pending.
        Some(f) => drop(f.write(&1u64.to_ne_bytes())),
        None => v.pending = true,
    }
}
