// SPDX-License-Identifier: GPL-2.0

//! Flow steering: tables, groups, entries, and running packets through them.

pub mod action;
pub mod exec;
pub mod fields;
pub mod modify;
pub mod params;
pub mod tables;

pub use exec::Target;
pub use tables::{Counter, Dest, Domain, Entry, Flow, Group, Miss, Reformat, ReformatKind};
