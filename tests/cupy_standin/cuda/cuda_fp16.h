// CUDA's half precision on the host: a type with the arithmetic of float, rounded when it is stored.
#pragma once
typedef _Float16 __half;
typedef _Float16 half;
