/* Stands in for the libraries that the pinned Ollama names: it was built by Intel's compiler for Intel GPUs.
 * The one rule: no device is ever found, and the vector maths are libm's. Callers of Intel's SVML keep values in
 * xmm8-15 across a call, so every entry point saves all vector state (XSAVE) around the plain C function. */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
void *ggml_backend_sycl_buffer_type(int d) { return NULL; }
void *ggml_backend_sycl_init(int d) { return NULL; }
int ggml_backend_sycl_get_device_count(void) { return 0; }
void *_intel_fast_memcpy(void *d, const void *s, size_t n) { return memcpy(d, s, n); }
void *_intel_fast_memset(void *d, int c, size_t n) { return memset(d, c, n); }
/* p: xmm0 at byte 0, xmm1 at byte 64.  mode 0: floats, 1: doubles, 2: floats where the sign bit of xmm1 is set */
enum { EXP, LOG, POW, SINCOS };
__attribute__((used, visibility("hidden"))) void shim_math(void *p, int op, int n, int mode) {
  float *f = p; double *d = p; const int *mask = (const int *)((char *)p + 64);
  if (op == SINCOS) { float s, c; sincosf(f[0], &s, &c); f[0] = s; f[16] = c; return; }
  for (int i = 0; i < n; i++)
    if (mode == 1) d[i] = op == EXP ? exp(d[i]) : op == LOG ? log(d[i]) : pow(d[i], d[8 + i]);
    else if (mode == 0 || mask[i] < 0) f[i] = op == EXP ? expf(f[i]) : op == LOG ? logf(f[i]) : powf(f[i], f[16 + i]);
}
__asm__(
  ".macro ENTRY name, op, n, mode\n.globl \\name\n.type \\name,@function\n\\name:\n"
  " push %rbp\n mov %rsp,%rbp\n"
  " push %rax\n push %rcx\n push %rdx\n push %rsi\n push %rdi\n push %r8\n push %r9\n push %r10\n push %r11\n"
  " sub $4224,%rsp\n and $-64,%rsp\n movups %xmm0,(%rsp)\n movups %xmm1,64(%rsp)\n"
  " xor %eax,%eax\n lea 640(%rsp),%rdi\n mov $8,%ecx\n cld\n rep stosq\n"
  " xor %edx,%edx\n mov $0xe6,%eax\n xsave64 128(%rsp)\n"
  " mov %rsp,%rdi\n mov $\\op,%esi\n mov $\\n,%edx\n mov $\\mode,%ecx\n call shim_math\n"
  " xor %edx,%edx\n mov $0xe6,%eax\n xrstor64 128(%rsp)\n movups (%rsp),%xmm0\n"
  " .if \\op == 3\n movups 64(%rsp),%xmm1\n .endif\n"
  " lea -72(%rbp),%rsp\n pop %r11\n pop %r10\n pop %r9\n pop %r8\n pop %rdi\n pop %rsi\n pop %rdx\n pop %rcx\n pop %rax\n"
  " pop %rbp\n ret\n.size \\name,.-\\name\n.endm\n"
  ".macro MATH fn, op\n ENTRY __svml_\\fn\\()f1, \\op, 1, 0\n ENTRY __svml_\\fn\\()f4, \\op, 4, 0\n"
  " ENTRY __svml_\\fn\\()f4_mask, \\op, 4, 2\n ENTRY __svml_\\fn\\()1, \\op, 1, 1\n ENTRY __svml_\\fn\\()2, \\op, 2, 1\n.endm\n"
  ".text\nMATH exp, 0\nMATH log, 1\nMATH pow, 2\nENTRY __libm_sse2_sincosf, 3, 1, 0\n");
/* libsycl: named, bound only when called, and never called without a device */
void *_ZTIN4sycl3_V19exceptionE[4];
#define S(x) void x(void) { fputs("libsycl stand-in called: " #x "\n", stderr); abort(); }
S(_Z22__spirv_ControlBarrierN5__spv5ScopeES0_j)
S(_ZN4sycl3_V115make_error_codeENS0_4errcE)
S(_ZN4sycl3_V15queue11submit_implESt8functionIFvRNS0_7handlerEEERKNS0_6detail13code_locationE)
S(_ZN4sycl3_V16detail14tls_code_loc_tC1ERKNS1_13code_locationE)
S(_ZN4sycl3_V16detail14tls_code_loc_tD1Ev)
S(_ZN4sycl3_V16detail21LocalAccessorBaseHost6getPtrEv)
S(_ZN4sycl3_V16detail21LocalAccessorBaseHost7getSizeEv)
S(_ZN4sycl3_V16detail21LocalAccessorBaseHostC2ENS0_5rangeILi3EEEiiRKNS0_13property_listE)
S(_ZN4sycl3_V16detail23constructorNotificationEPvS2_NS0_6access6targetENS3_4modeERKNS1_13code_locationE)
S(_ZN4sycl3_V17handler14setNDRangeUsedEb)
S(_ZN4sycl3_V17handler22setKernelIsCooperativeEb)
S(_ZN4sycl3_V17handler26setNDRangeDescriptorPaddedENS0_5rangeILi3EEES3_NS0_2idILi3EEEi)
S(_ZN4sycl3_V17handler28extractArgsAndReqsFromLambdaEPcmPKNS0_6detail19kernel_param_desc_tEb)
S(_ZN4sycl3_V17handler30verifyUsedKernelBundleInternalENS0_6detail11string_viewE)
S(_ZN4sycl3_V17handler7setTypeENS0_6detail6CGTypeE)
S(_ZN4sycl3_V17handler9clearArgsEv)
S(_ZN4sycl3_V19exceptionC1ESt10error_codePKc)
S(_ZN4sycl3_V19exceptionD1Ev)
S(_ZNK4sycl3_V15queue10get_deviceEv)
S(_ZNK4sycl3_V16detail21LocalAccessorBaseHost6getPtrEv)
S(_ZNK4sycl3_V16detail21LocalAccessorBaseHost7getSizeEv)
S(_ZNK4sycl3_V16device13get_info_implINS0_4info6device15sub_group_sizesEEENS0_6detail11ABINeutralTINS6_19is_device_info_descIT_E11return_typeEE4typeEv)
S(_ZNK4sycl3_V16device13get_info_implINS0_4info6device4nameEEENS0_6detail11ABINeutralTINS6_19is_device_info_descIT_E11return_typeEE4typeEv)
S(_ZNK4sycl3_V17handler7getTypeEv)
