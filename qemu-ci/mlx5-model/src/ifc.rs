// SPDX-License-Identifier: GPL-2.0

//! The layouts of `include/linux/mlx5/mlx5_ifc.h` and the constants of it and
//! of `device.h`, made at build time (see `build/main.rs`).

#![allow(dead_code, non_upper_case_globals)]

include!(concat!(env!("OUT_DIR"), "/ifc.rs"));
