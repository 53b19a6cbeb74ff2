! SPDX-License-Identifier: Apache-2.0
!
! MPI as Fortran programs call it, old and new: each part passes a number around, adds it up and writes it down.
module modern
  use mpi_f08
  implicit none
contains
  subroutine round(rank, ranks, sum)
    integer, intent(in) :: rank, ranks
    integer, intent(inout) :: sum
    integer :: i, in, total, where
    integer, asynchronous :: out, came
    type(MPI_Request) :: requests(2)
    type(MPI_Status) :: status
    type(MPI_Comm) :: half
    do i = 1, 5
      out = rank * 10 + i
      call MPI_Irecv(came, 1, MPI_INTEGER, modulo(rank - 1, ranks), 3, MPI_COMM_WORLD, requests(1))
      call MPI_Isend(out, 1, MPI_INTEGER, modulo(rank + 1, ranks), 3, MPI_COMM_WORLD, requests(2))
      call MPI_Waitall(2, requests, MPI_STATUSES_IGNORE)
      sum = sum + came
    end do
    call MPI_Comm_split(MPI_COMM_WORLD, modulo(rank, 2), rank, half)
    call MPI_Allreduce(rank, total, 1, MPI_INTEGER, MPI_SUM, half)
    call MPI_Comm_free(half)
    if (rank == 0) then
      do i = 1, ranks - 1
        call MPI_Recv(in, 1, MPI_INTEGER, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, status)
        where = status%MPI_SOURCE
        if (in /= where .or. status%MPI_TAG /= where + 100) sum = -1000000
      end do
    else
      call MPI_Send(rank, 1, MPI_INTEGER, 0, rank + 100, MPI_COMM_WORLD)
    end if
    call MPI_Barrier(MPI_COMM_WORLD) ! any tag would take what comes next, too
    sum = sum + total
  end subroutine
end module

module old
  implicit none
  include 'mpif.h'
contains
  subroutine turn(rank, ranks, sum)
    integer, intent(in) :: rank, ranks
    integer, intent(inout) :: sum
    integer :: error, file, in, status(MPI_STATUS_SIZE)
    integer(kind=MPI_OFFSET_KIND) :: at
    call MPI_SENDRECV(rank, 1, MPI_INTEGER, modulo(rank + 1, ranks), 7, in, 1, MPI_INTEGER, &
                      modulo(rank - 1, ranks), 7, MPI_COMM_WORLD, status, error)
    sum = sum + in
    call MPI_BCAST(sum, 1, MPI_INTEGER, 0, MPI_COMM_WORLD, error)
    call MPI_FILE_OPEN(MPI_COMM_WORLD, 'sums', MPI_MODE_CREATE + MPI_MODE_WRONLY, MPI_INFO_NULL, file, error)
    at = rank * 4
    call MPI_FILE_WRITE_AT_ALL(file, at, sum, 1, MPI_INTEGER, MPI_STATUS_IGNORE, error)
    call MPI_FILE_CLOSE(file, error)
    call MPI_BARRIER(MPI_COMM_WORLD, error)
  end subroutine
end module

program fortran_ranks
  use mpi_f08
  use modern
  use old, only: turn
  implicit none
  integer :: rank, ranks, sum
  sum = 0
  call MPI_Init()
  call MPI_Comm_rank(MPI_COMM_WORLD, rank)
  call MPI_Comm_size(MPI_COMM_WORLD, ranks)
  call round(rank, ranks, sum)
  call turn(rank, ranks, sum)
  print '(a, i0, a, i0)', 'rank ', rank, ': ', sum
  call MPI_Finalize()
end program
