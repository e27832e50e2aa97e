// SPDX-License-Identifier: GPL-2.0

//! Synchronisation primitives.

pub mod bh;
pub mod rcu;
pub mod rwsem;
pub mod static_mutex;
