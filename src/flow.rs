// SPDX-License-Identifier: GPL-2.0

//! Flows: what is matched on, what is counted and what is done.

pub(crate) mod key;
