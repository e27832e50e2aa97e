// SPDX-License-Identifier: GPL-2.0

//! The vfio-user transport: the server half of the protocol that QEMU's
//! `vfio-user-pci` device speaks, version 0.1.

mod dma;
mod irq;
mod proto;
mod server;

pub use dma::Dma;
pub use irq::Irqs;
pub use server::{listen, serve, Guest};
