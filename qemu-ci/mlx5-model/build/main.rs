// SPDX-License-Identifier: GPL-2.0

//! Makes the register and command layouts out of the kernel's own headers.
//!
//! `MLX5_INCLUDE` names the folder `include/linux/mlx5` of a kernel source
//! tree. Nothing about a layout is typed in by hand: offsets, sizes, opcode
//! and status values all come from `mlx5_ifc.h`, `device.h` and their like.

mod emit;
mod enums;
mod layout;

use std::{env, fs, path::PathBuf, process::exit};

fn main() {
    println!("cargo::rerun-if-env-changed=MLX5_INCLUDE");
    println!("cargo::rerun-if-changed=build");
    let Ok(dir) = env::var("MLX5_INCLUDE") else {
        eprintln!("error: set MLX5_INCLUDE to include/linux/mlx5 of a kernel source tree");
        exit(1);
    };
    let read = |name: &str| {
        let path = PathBuf::from(&dir).join(name);
        println!("cargo::rerun-if-changed={}", path.display());
        match fs::read_to_string(&path) {
            Ok(text) => layout::strip_comments(&text),
            Err(e) => {
                eprintln!("error: cannot read {}: {e}", path.display());
                exit(1);
            }
        }
    };
    let ifc = read("mlx5_ifc.h");
    let mut consts = enums::parse(&ifc);
    for name in ["device.h", "cq.h", "driver.h", "qp.h"] {
        consts.merge(enums::parse(&read(name)));
    }
    let types = match layout::parse(&ifc, &consts) {
        Ok(types) => types,
        Err(e) => {
            eprintln!("error: mlx5_ifc.h: {e}");
            exit(1);
        }
    };
    let out = PathBuf::from(env::var("OUT_DIR").unwrap_or_default()).join("ifc.rs");
    if let Err(e) = fs::write(&out, emit::emit(&types, &consts)) {
        eprintln!("error: cannot write {}: {e}", out.display());
        exit(1);
    }
}
