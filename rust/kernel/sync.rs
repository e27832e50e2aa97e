// SPDX-License-Identifier: GPL-2.0

//! Synchronisation primitives.

pub mod bh;
pub(crate) mod lazy_init;
pub mod once_box;
pub mod rcu;
pub mod rcu_cell;
pub mod rwsem;
pub mod static_mutex;
