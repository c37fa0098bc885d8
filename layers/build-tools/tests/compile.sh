# Fortran calls C, and the program runs.
set -eu
out=$(mktemp -d)
cat >"$out/twice.c" <<'C'
double twice_(double *x) { return 2 * *x; }
C
cat >"$out/main.f90" <<'FORTRAN'
program main
  real(8), external :: twice
  print '(f4.2)', twice(4 * atan(1d0))
end program
FORTRAN
gcc -c -o "$out/twice.o" "$out/twice.c"
gfortran -o "$out/main" "$out/main.f90" "$out/twice.o"
"$out/main"
