// SPDX-License-Identifier: GPL-2.0

//! What drivers say.

use kernel::ffi;

/// What a driver says of an error, cut to 80 bytes.
#[derive(Clone, Copy)]
pub struct DriverText {
    len: u8,
    bytes: [u8; Self::MAX],
}

impl DriverText {
    /// C: `NETLINK_MAX_FMTMSG_LEN`.
    const MAX: usize = 80;

    /// No text.
    pub const fn new() -> Self {
        Self {
            len: 0,
            bytes: [0; Self::MAX],
        }
    }

    /// The text; empty if the driver said nothing.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The text, up to the first byte that is not of a character.
    pub fn as_str(&self) -> &str {
        match core::str::from_utf8(self.as_bytes()) {
            Ok(text) => text,
            Err(e) => self
                .as_bytes()
                .get(..e.valid_up_to())
                .and_then(|valid| core::str::from_utf8(valid).ok())
                .unwrap_or_default(),
        }
    }

    /// Copies a text, which may be in the driver's memory.
    ///
    /// # Safety
    ///
    /// `text` must be null or a C string.
    pub(super) unsafe fn set(&mut self, text: *const ffi::c_char) {
        self.len = 0;
        if text.is_null() {
            return;
        }
        for to in &mut self.bytes {
            // SAFETY: By the function's safety requirement; the end was not
            // reached yet.
            let byte = unsafe { *text.add(self.len.into()) };
            if byte == 0 {
                break;
            }
            *to = byte;
            self.len = self.len.wrapping_add(1);
        }
    }
}

impl Default for DriverText {
    fn default() -> Self {
        Self::new()
    }
}
