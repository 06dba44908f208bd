// The memory of the process.
#pragma once

namespace espalier {

/// Lets the C library keep memory that was freed for what is allocated next, in the whole process:
/// its default gives large blocks, as tensors are, back to the system each time, and every new one
/// is mapped and cleared page by page again. run_program() does so; other programs should, before
/// anything else. The process's memory stays near its peak (up to 2 GiB at the end of the heap;
/// blocks above 1 GiB, with older releases of glibc above 32 MiB, are given back as before). Where
/// the C library is not glibc, nothing happens.
void keep_freed_memory();

}  // namespace espalier
