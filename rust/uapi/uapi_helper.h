/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The headers that the userspace-API bindings are made from.
 *
 * Sorted alphabetically.
 */

#include <uapi/linux/openvswitch.h>
