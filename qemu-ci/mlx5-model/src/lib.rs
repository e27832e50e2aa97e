// SPDX-License-Identifier: GPL-2.0

//! A model of an mlx5 network device, for the unmodified mlx5_core driver.
//!
//! The model is a device of its own, made after what the driver expects. It
//! says nothing about the firmware of any real card.

pub mod bits;
pub mod caps;
pub mod cmd;
pub mod complete;
pub mod control;
pub mod decode;
pub mod device;
pub mod fault;
pub mod front;
pub mod ifc;
pub mod log;
pub mod packet;
pub mod pci;
pub mod port;
pub mod queue;
pub mod resources;
pub mod ring;
pub mod rx;
pub mod steer;
pub mod stream;
pub mod table;
pub mod tap;
pub mod transport;
pub mod tx;
pub mod vfio_user;
