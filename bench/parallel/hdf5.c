// SPDX-License-Identifier: Apache-2.0
//
// A parallel program that writes by HDF5: checkpoints of a field that all ranks share, each a dataset of its own in one
// file, written collectively; at the end each rank reads what its neighbour wrote. Between two checkpoints it computes
// (--compute US). Takes what common.h says; its WORKLOAD is hdf5.
#include <hdf5.h>
#include <mpi.h>

#include "common.h"

static int rank, ranks;

static hid_t sure(hid_t id, const char* what) {
  if (id < 0) {
    fprintf(stderr, "hdf5: %s\n", what);
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  return id;
}

static hid_t transfer;  // collectively

static void slab(hid_t data, int of, int writes) {
  hsize_t begin = (hsize_t)of * size, length = size;
  hid_t there = sure(H5Dget_space(data), "space"), here = sure(H5Screate_simple(1, &length, NULL), "memory space");
  sure(H5Sselect_hyperslab(there, H5S_SELECT_SET, &begin, NULL, &length, NULL), "slab");
  sure(writes ? H5Dwrite(data, H5T_NATIVE_UCHAR, here, there, transfer, block)
              : H5Dread(data, H5T_NATIVE_UCHAR, here, there, transfer, block),
       "transfer");
  H5Sclose(here);
  H5Sclose(there);
}

int main(int count, char** arguments) {
  common_arguments(count, arguments);
  MPI_Init(&count, &arguments);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  long us = number_flag(count, arguments, "--compute", 0);
  char path[4096], name[32];
  snprintf(path, sizeof path, "%s/checkpoints.h5", dir);
  hid_t access = sure(H5Pcreate(H5P_FILE_ACCESS), "access");
  sure(H5Pset_fapl_mpio(access, MPI_COMM_WORLD, MPI_INFO_NULL), "access by MPI");
  hid_t file = sure(H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access), path);
  transfer = sure(H5Pcreate(H5P_DATASET_XFER), "transfer");
  sure(H5Pset_dxpl_mpio(transfer, H5FD_MPIO_COLLECTIVE), "collective transfer");
  hid_t how = sure(H5Pcreate(H5P_DATASET_CREATE), "creation");
  sure(H5Pset_obj_track_times(how, 0), "no times");  // the file is the same each time
  hsize_t extent = (hsize_t)ranks * size;
  uint64_t sum = 0, all = 0;
  for (int i = 0; i < iterations; ++i) {
    compute(us * (1 + (rank + i) % ranks));
    fill((uint64_t)rank, (uint64_t)i);
    snprintf(name, sizeof name, "step%d", i);
    hid_t space = sure(H5Screate_simple(1, &extent, NULL), "space");
    hid_t data = sure(H5Dcreate2(file, name, H5T_NATIVE_UCHAR, space, H5P_DEFAULT, how, H5P_DEFAULT), name);
    slab(data, rank, 1);
    H5Dclose(data);
    H5Sclose(space);
    sure(H5Fflush(file, H5F_SCOPE_GLOBAL), "flush");
  }
  for (int i = 0; i < iterations; ++i) {
    snprintf(name, sizeof name, "step%d", i);
    hid_t data = sure(H5Dopen2(file, name, H5P_DEFAULT), name);
    slab(data, (rank + 1) % ranks, 0);
    sum += sum_of_block();
    H5Dclose(data);
  }
  H5Pclose(how);
  H5Pclose(transfer);
  H5Pclose(access);
  H5Fclose(file);
  MPI_Reduce(&sum, &all, 1, MPI_UINT64_T, MPI_BXOR, 0, MPI_COMM_WORLD);
  if (rank == 0) printf("hdf5 %016llx\n", (unsigned long long)all);
  MPI_Finalize();
  free(block);
  return 0;
}
