"""Devices and processes: the mesh, sharding of arrays, joining the processes of a job."""
