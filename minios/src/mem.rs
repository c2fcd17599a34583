//! `memcpy`, `memmove`, `memset`, `memcmp` and `bcmp`.
//!
//! The guest has no libc, so these are its own, and they are written so that LLVM cannot turn
//! them into calls of themselves. Judged by instructions: a `rep movsb` counts one for each byte
//! on an instruction clock, a 64-byte block of SSE moves counts eleven. Short lengths take two
//! overlapping moves and no loop. Only the baseline's SSE2 is used.
//!
//! On the host the same code is assembled under other names, so that tests can drive it.

use core::arch::global_asm;

macro_rules! assemble {
    ($prefix:literal) => {
        global_asm!(
            ".pushsection .text.mem,\"ax\",@progbits",
            // memcpy(rdi = to, rsi = from, rdx = length) -> rax = to.
            // Every path loads what overlaps before it stores, but for the loop.
            concat!(".globl ", $prefix, "memcpy"),
            ".p2align 4",
            concat!($prefix, "memcpy:"),
            "mov rax, rdi",
            "cmp rdx, 16",
            "jb 20f",
            "cmp rdx, 32",
            "ja 13f",
            "movups xmm0, [rsi]",
            "movups xmm1, [rsi + rdx - 16]",
            "movups [rdi], xmm0",
            "movups [rdi + rdx - 16], xmm1",
            "ret",
            "13:",
            "cmp rdx, 64",
            "ja 14f",
            "movups xmm0, [rsi]",
            "movups xmm1, [rsi + 16]",
            "movups xmm2, [rsi + rdx - 32]",
            "movups xmm3, [rsi + rdx - 16]",
            "movups [rdi], xmm0",
            "movups [rdi + 16], xmm1",
            "movups [rdi + rdx - 32], xmm2",
            "movups [rdi + rdx - 16], xmm3",
            "ret",
            // Over 64: the last 64 bytes are kept in registers and stored at the end, so that
            // the loop works on whole blocks.
            "14:",
            "movups xmm4, [rsi + rdx - 64]",
            "movups xmm5, [rsi + rdx - 48]",
            "movups xmm6, [rsi + rdx - 32]",
            "movups xmm7, [rsi + rdx - 16]",
            "lea rcx, [rdi + rdx - 64]",
            "sub rsi, rdi",
            "12:",
            "movups xmm0, [rsi + rdi]",
            "movups xmm1, [rsi + rdi + 16]",
            "movups xmm2, [rsi + rdi + 32]",
            "movups xmm3, [rsi + rdi + 48]",
            "movups [rdi], xmm0",
            "movups [rdi + 16], xmm1",
            "movups [rdi + 32], xmm2",
            "movups [rdi + 48], xmm3",
            "add rdi, 64",
            "cmp rdi, rcx",
            "jb 12b",
            "movups [rcx], xmm4",
            "movups [rcx + 16], xmm5",
            "movups [rcx + 32], xmm6",
            "movups [rcx + 48], xmm7",
            "ret",
            "20:",
            "cmp edx, 8",
            "jb 21f",
            "mov rcx, [rsi]",
            "mov r8, [rsi + rdx - 8]",
            "mov [rdi], rcx",
            "mov [rdi + rdx - 8], r8",
            "ret",
            "21:",
            "cmp edx, 4",
            "jb 22f",
            "mov ecx, [rsi]",
            "mov r8d, [rsi + rdx - 4]",
            "mov [rdi], ecx",
            "mov [rdi + rdx - 4], r8d",
            "ret",
            "22:",
            "cmp edx, 2",
            "jb 23f",
            "movzx ecx, word ptr [rsi]",
            "movzx r8d, byte ptr [rsi + rdx - 1]",
            "mov [rdi], cx",
            "mov [rdi + rdx - 1], r8b",
            "ret",
            "23:",
            "test edx, edx",
            "jz 24f",
            "movzx ecx, byte ptr [rsi]",
            "mov [rdi], cl",
            "24:",
            "ret",
            // memmove: memcpy is right whenever `to` is not inside the source (its loop runs
            // upwards and short lengths load before they store); otherwise from the end down.
            concat!(".globl ", $prefix, "memmove"),
            ".p2align 4",
            concat!($prefix, "memmove:"),
            "mov rcx, rdi",
            "sub rcx, rsi",
            "cmp rcx, rdx",
            "jae 29f",
            "cmp rdx, 64",
            "ja 30f",
            "29:",
            // Upwards with `to` below the source by less than a block: the saved tail stays
            // right because it was loaded first, and each block is loaded before it is stored.
            concat!("jmp ", $prefix, "memcpy"),
            "30:",
            "mov rax, rdi",
            "movups xmm4, [rsi]",
            "movups xmm5, [rsi + 16]",
            "movups xmm6, [rsi + 32]",
            "movups xmm7, [rsi + 48]",
            "31:",
            "movups xmm0, [rsi + rdx - 16]",
            "movups xmm1, [rsi + rdx - 32]",
            "movups xmm2, [rsi + rdx - 48]",
            "movups xmm3, [rsi + rdx - 64]",
            "movups [rdi + rdx - 16], xmm0",
            "movups [rdi + rdx - 32], xmm1",
            "movups [rdi + rdx - 48], xmm2",
            "movups [rdi + rdx - 64], xmm3",
            "sub rdx, 64",
            "cmp rdx, 64",
            "ja 31b",
            "movups [rdi], xmm4",
            "movups [rdi + 16], xmm5",
            "movups [rdi + 32], xmm6",
            "movups [rdi + 48], xmm7",
            "ret",
            // memset(rdi = to, esi = byte, rdx = length) -> rax = to.
            concat!(".globl ", $prefix, "memset"),
            ".p2align 4",
            concat!($prefix, "memset:"),
            "mov rax, rdi",
            "movzx esi, sil",
            "movabs rcx, 0x0101010101010101",
            "imul rcx, rsi",
            "cmp rdx, 16",
            "jb 40f",
            "movq xmm0, rcx",
            "punpcklqdq xmm0, xmm0",
            "movups [rdi], xmm0",
            "movups [rdi + rdx - 16], xmm0",
            "cmp rdx, 32",
            "jbe 49f",
            "movups [rdi + 16], xmm0",
            "movups [rdi + rdx - 32], xmm0",
            "cmp rdx, 64",
            "jbe 49f",
            "lea rcx, [rdi + rdx - 64]",
            "32:",
            "movups [rdi], xmm0",
            "movups [rdi + 16], xmm0",
            "movups [rdi + 32], xmm0",
            "movups [rdi + 48], xmm0",
            "add rdi, 64",
            "cmp rdi, rcx",
            "jb 32b",
            "movups [rcx], xmm0",
            "movups [rcx + 16], xmm0",
            "ret",
            "40:",
            "cmp edx, 8",
            "jb 41f",
            "mov [rdi], rcx",
            "mov [rdi + rdx - 8], rcx",
            "ret",
            "41:",
            "cmp edx, 4",
            "jb 42f",
            "mov [rdi], ecx",
            "mov [rdi + rdx - 4], ecx",
            "ret",
            "42:",
            "test edx, edx",
            "jz 49f",
            "mov [rdi], cl",
            "mov [rdi + rdx - 1], cl",
            "shr edx, 1",
            "mov [rdi + rdx], cl",
            "49:",
            "ret",
            // memcmp(rdi, rsi, rdx = length) -> eax. Also bcmp, which asks for less.
            concat!(".globl ", $prefix, "bcmp"),
            concat!(".globl ", $prefix, "memcmp"),
            ".p2align 4",
            concat!($prefix, "bcmp:"),
            concat!($prefix, "memcmp:"),
            "cmp rdx, 16",
            "jb 60f",
            "lea r8, [rdx - 16]",
            "xor ecx, ecx",
            "50:",
            "cmp rcx, r8",
            "jae 51f",
            "movups xmm0, [rdi + rcx]",
            "movups xmm1, [rsi + rcx]",
            "pcmpeqb xmm0, xmm1",
            "pmovmskb eax, xmm0",
            "xor eax, 0xffff",
            "jnz 52f",
            "add rcx, 16",
            "jmp 50b",
            "51:",
            "mov rcx, r8",
            "movups xmm0, [rdi + rcx]",
            "movups xmm1, [rsi + rcx]",
            "pcmpeqb xmm0, xmm1",
            "pmovmskb eax, xmm0",
            "xor eax, 0xffff",
            "jnz 52f",
            "ret",
            "52:",
            "bsf eax, eax",
            "add rcx, rax",
            "movzx eax, byte ptr [rdi + rcx]",
            "movzx edx, byte ptr [rsi + rcx]",
            "sub eax, edx",
            "ret",
            "60:",
            "cmp edx, 8",
            "jb 61f",
            "mov rax, [rdi]",
            "mov rcx, [rsi]",
            "cmp rax, rcx",
            "jne 65f",
            "mov rax, [rdi + rdx - 8]",
            "mov rcx, [rsi + rdx - 8]",
            "cmp rax, rcx",
            "jne 65f",
            "xor eax, eax",
            "ret",
            "65:",
            "bswap rax",
            "bswap rcx",
            "cmp rax, rcx",
            "sbb eax, eax",
            "or eax, 1",
            "ret",
            "61:",
            "xor ecx, ecx",
            "62:",
            "cmp rcx, rdx",
            "jae 63f",
            "movzx eax, byte ptr [rdi + rcx]",
            "movzx r8d, byte ptr [rsi + rcx]",
            "inc rcx",
            "sub eax, r8d",
            "jz 62b",
            "ret",
            "63:",
            "xor eax, eax",
            "ret",
            ".popsection",
        );
    };
}

#[cfg(feature = "xen")]
assemble!("");
#[cfg(not(feature = "xen"))]
assemble!("minios_");

#[cfg(all(test, not(feature = "xen")))]
mod tests {
    use std::vec::Vec;

    unsafe extern "C" {
        fn minios_memcpy(to: *mut u8, from: *const u8, length: usize) -> *mut u8;
        fn minios_memmove(to: *mut u8, from: *const u8, length: usize) -> *mut u8;
        fn minios_memset(to: *mut u8, byte: i32, length: usize) -> *mut u8;
        fn minios_memcmp(a: *const u8, b: *const u8, length: usize) -> i32;
        fn minios_bcmp(a: *const u8, b: *const u8, length: usize) -> i32;
    }

    const LENGTHS: core::ops::Range<usize> = 0..300;

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i * 7 + i / 251) as u8).collect()
    }

    #[test]
    fn memcpy_copies_exactly() {
        for length in LENGTHS.chain([4095, 4096, 4097, 65536]) {
            for shift in 0..4 {
                let from = pattern(length + 8);
                let mut to = std::vec![0xaa; length + 16];
                let expect = [&[0xaa; 4][..], &from[shift..shift + length], &[0xaa; 12]].concat();
                // SAFETY: both ranges lie inside their vectors.
                unsafe { minios_memcpy(to.as_mut_ptr().add(4), from.as_ptr().add(shift), length) };
                assert!(to == expect, "length {length}, shift {shift}");
            }
        }
    }

    #[test]
    fn memmove_survives_every_overlap() {
        for length in LENGTHS.step_by(3).chain([1000]) {
            for from in (0..140).step_by(7) {
                for to in (0..140).step_by(5) {
                    let mut bytes = pattern(length + 150);
                    let mut expect = bytes.clone();
                    expect.copy_within(from..from + length, to);
                    // SAFETY: both ranges lie inside the vector; memmove allows them to overlap.
                    unsafe {
                        let at = bytes.as_mut_ptr();
                        minios_memmove(at.add(to), at.add(from), length);
                    }
                    assert!(bytes == expect, "length {length}, from {from} to {to}");
                }
            }
        }
    }

    #[test]
    fn memset_fills_exactly() {
        for length in LENGTHS.chain([4096, 5000]) {
            let mut bytes = std::vec![1; length + 2];
            // SAFETY: the range lies inside the vector.
            unsafe { minios_memset(bytes.as_mut_ptr().add(1), 0x1c3, length) };
            assert_eq!((bytes[0], bytes[length + 1]), (1, 1), "length {length}");
            assert!(
                bytes[1..=length].iter().all(|&b| b == 0xc3),
                "length {length}"
            );
        }
    }

    #[test]
    fn memcmp_orders_as_unsigned_bytes() {
        for length in 0..100 {
            let a = pattern(length);
            // SAFETY: both ranges are whole vectors of that length.
            let compare = |a: &[u8], b: &[u8]| unsafe {
                let order = minios_memcmp(a.as_ptr(), b.as_ptr(), a.len());
                assert_eq!(
                    order == 0,
                    minios_bcmp(a.as_ptr(), b.as_ptr(), a.len()) == 0
                );
                order.signum()
            };
            assert_eq!(compare(&a, &a), 0);
            for at in 0..length {
                for value in [0, 0x7f, 0x80, 0xff] {
                    let mut b = a.clone();
                    b[at] = value;
                    if at + 1 < length {
                        b[at + 1] ^= 0xff;
                    }
                    let expect = a.cmp(&b) as i32;
                    assert_eq!(compare(&a, &b), expect, "length {length} at {at} = {value}");
                }
            }
        }
    }
}
