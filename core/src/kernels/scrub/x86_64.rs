//! The scrub of x86-64, in the widest stores the processor has.
//!
//! Each form clears the vector registers, stores once up to the stack pointer and from there in aligned units downwards (a guard page that near is met
//! first), then clears the general registers that a call may change.

use core::arch::asm;
use std::arch::is_x86_feature_detected;

#[inline(always)]
pub(super) fn scrub<const DEPTH: usize>() {
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the call before this has used the stack so deep, or could have; the feature is there.
        unsafe { with_avx512::<DEPTH>() }
    } else if is_x86_feature_detected!("avx") {
        // SAFETY: as above.
        unsafe { with_avx::<DEPTH>() }
    } else {
        // SAFETY: as above.
        unsafe { with_sse::<DEPTH>() }
    }
}

/// By 64 octets; clears `zmm0` to `zmm31`.
///
/// # Safety
///
/// The stack has room for `DEPTH` octets more. The processor has AVX-512F.
#[inline(always)]
pub(in crate::kernels) unsafe fn with_avx512<const DEPTH: usize>() {
    const { assert!(DEPTH.is_multiple_of(256)) };
    // SAFETY: the caller vouches for the stack and the feature; below the stack pointer nothing is alive, since the block does not say that it leaves the
    // stack alone, and so the compiler keeps no red zone there. Every register it touches is one that a call may.
    unsafe {
        asm!(
            "vpxord zmm16, zmm16, zmm16", "vpxord zmm17, zmm17, zmm17", "vpxord zmm18, zmm18, zmm18", "vpxord zmm19, zmm19, zmm19",
            "vpxord zmm20, zmm20, zmm20", "vpxord zmm21, zmm21, zmm21", "vpxord zmm22, zmm22, zmm22", "vpxord zmm23, zmm23, zmm23",
            "vpxord zmm24, zmm24, zmm24", "vpxord zmm25, zmm25, zmm25", "vpxord zmm26, zmm26, zmm26", "vpxord zmm27, zmm27, zmm27",
            "vpxord zmm28, zmm28, zmm28", "vpxord zmm29, zmm29, zmm29", "vpxord zmm30, zmm30, zmm30", "vpxord zmm31, zmm31, zmm31",
            "vpxor xmm0, xmm0, xmm0", "vpxor xmm1, xmm1, xmm1", "vpxor xmm2, xmm2, xmm2", "vpxor xmm3, xmm3, xmm3",
            "vpxor xmm4, xmm4, xmm4", "vpxor xmm5, xmm5, xmm5", "vpxor xmm6, xmm6, xmm6", "vpxor xmm7, xmm7, xmm7",
            "vpxor xmm8, xmm8, xmm8", "vpxor xmm9, xmm9, xmm9", "vpxor xmm10, xmm10, xmm10", "vpxor xmm11, xmm11, xmm11",
            "vpxor xmm12, xmm12, xmm12", "vpxor xmm13, xmm13, xmm13", "vpxor xmm14, xmm14, xmm14", "vpxor xmm15, xmm15, xmm15",
            "lea rax, [rsp - 64]",
            "vmovdqu64 [rax], zmm16",
            "and rax, -64",
            "mov ecx, {count}",
            "2:",
            "vmovdqa64 [rax - 64], zmm16",
            "vmovdqa64 [rax - 128], zmm16",
            "vmovdqa64 [rax - 192], zmm16",
            "vmovdqa64 [rax - 256], zmm16",
            "sub rax, 256",
            "dec ecx",
            "jnz 2b",
            "vzeroupper",
            "xor eax, eax", "xor edx, edx", "xor esi, esi", "xor edi, edi",
            "xor r8d, r8d", "xor r9d, r9d", "xor r10d, r10d", "xor r11d, r11d",
            count = const DEPTH / 256,
            clobber_abi("sysv64"),
        );
    }
}

/// By 32 octets; clears `ymm0` to `ymm15`.
///
/// # Safety
///
/// The stack has room for `DEPTH` octets more. The processor has AVX.
#[inline(always)]
pub(in crate::kernels) unsafe fn with_avx<const DEPTH: usize>() {
    const { assert!(DEPTH.is_multiple_of(128)) };
    // SAFETY: the caller vouches for the stack and the feature; below the stack pointer nothing is alive, since the block does not say that it leaves the
    // stack alone, and so the compiler keeps no red zone there. Every register it touches is one that a call may.
    unsafe {
        asm!(
            "vzeroall",
            "lea rax, [rsp - 32]",
            "vmovdqu [rax], ymm0",
            "and rax, -32",
            "mov ecx, {count}",
            "2:",
            "vmovdqa [rax - 32], ymm0",
            "vmovdqa [rax - 64], ymm0",
            "vmovdqa [rax - 96], ymm0",
            "vmovdqa [rax - 128], ymm0",
            "sub rax, 128",
            "dec ecx",
            "jnz 2b",
            "vzeroupper",
            "xor eax, eax", "xor edx, edx", "xor esi, esi", "xor edi, edi",
            "xor r8d, r8d", "xor r9d, r9d", "xor r10d, r10d", "xor r11d, r11d",
            count = const DEPTH / 128,
            clobber_abi("sysv64"),
        );
    }
}

/// By 16 octets; clears `xmm0` to `xmm15`.
///
/// # Safety
///
/// The stack has room for `DEPTH` octets more.
#[inline(always)]
pub(in crate::kernels) unsafe fn with_sse<const DEPTH: usize>() {
    const { assert!(DEPTH.is_multiple_of(64)) };
    // SAFETY: the caller vouches for the stack and the feature; below the stack pointer nothing is alive, since the block does not say that it leaves the
    // stack alone, and so the compiler keeps no red zone there. Every register it touches is one that a call may.
    unsafe {
        asm!(
            "xorps xmm0, xmm0", "xorps xmm1, xmm1", "xorps xmm2, xmm2", "xorps xmm3, xmm3",
            "xorps xmm4, xmm4", "xorps xmm5, xmm5", "xorps xmm6, xmm6", "xorps xmm7, xmm7",
            "xorps xmm8, xmm8", "xorps xmm9, xmm9", "xorps xmm10, xmm10", "xorps xmm11, xmm11",
            "xorps xmm12, xmm12", "xorps xmm13, xmm13", "xorps xmm14, xmm14", "xorps xmm15, xmm15",
            "lea rax, [rsp - 16]",
            "movups [rax], xmm0",
            "and rax, -16",
            "mov ecx, {count}",
            "2:",
            "movaps [rax - 16], xmm0",
            "movaps [rax - 32], xmm0",
            "movaps [rax - 48], xmm0",
            "movaps [rax - 64], xmm0",
            "sub rax, 64",
            "dec ecx",
            "jnz 2b",
            "xor eax, eax", "xor edx, edx", "xor esi, esi", "xor edi, edi",
            "xor r8d, r8d", "xor r9d, r9d", "xor r10d, r10d", "xor r11d, r11d",
            count = const DEPTH / 64,
            clobber_abi("sysv64"),
        );
    }
}
