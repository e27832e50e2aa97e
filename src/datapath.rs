// SPDX-License-Identifier: GPL-2.0

//! Datapaths.

pub(crate) mod state;
