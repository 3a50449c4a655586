"""Which launcher has started a process: the variables that real launchers set."""

import os

import pytest

from scratchnet.errors import SettingError
from scratchnet.training.parallel.launch import Launched, is_first, launched

# As seen with mpiexec -n 4 env of Open MPI 5.0.11, MPICH 5.0.2 and Intel MPI 2021.18, and as in the
# manual of srun 24.05.
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "PMIX_RANK": "3", "PMIX_NAMESPACE": "prterun-vm-5728@1",
}  # fmt: skip
MPICH = {
    "PMI_RANK": "3", "PMI_SIZE": "4", "PMI_FD": "11", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"
}  # fmt: skip
INTEL = {**MPICH, "I_MPI_HYDRA_UUID": "4b200000-5ebe-2a37-6961-060075c0f934"}
BATCH_SCRIPT = {"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_JOB_ID": "7"}
SRUN = {**BATCH_SCRIPT, "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1"}
SRUN_PMI2 = {**SRUN, "PMI_RANK": "3", "PMI_SIZE": "4", "PMI_FD": "11"}
SRUN_PMIX = {**SRUN, "PMIX_RANK": "3", "PMIX_NAMESPACE": "slurm.pmix.7.0"}
PROXIES = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "0"}


@pytest.fixture
def launched_with(monkeypatch):
    def set_all(variables):
        for name in list(os.environ):
            if name.startswith(("OMPI_", "PMI", "MPI_", "I_MPI", "SLURM_")):
                monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return launched()

    return set_all


@pytest.mark.parametrize(
    ("launcher", "variables"),
    [
        ("Open MPI", OPEN_MPI),
        ("MPICH", MPICH),
        ("Intel MPI", INTEL),
        ("Slurm", SRUN),
        ("Slurm", SRUN_PMI2),
        ("Slurm", SRUN_PMIX),
        ("Open MPI", {**SRUN, **PROXIES, **OPEN_MPI}),
        ("MPICH", {**SRUN, **PROXIES, **MPICH}),
    ],
)
def test_each_launcher_is_recognized(launched_with, launcher, variables):
    assert launched_with(variables) == Launched(launcher, rank=3, size=4, local_rank=1)
    assert not is_first()


@pytest.mark.parametrize(
    "variables",
    [
        {},
        BATCH_SCRIPT,
        {**SRUN, "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"},
        {**MPICH, "PMI_RANK": "0", "PMI_SIZE": "1"},
        {**OPEN_MPI, "OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"},
        {"PMI_RANK": "x", "PMI_SIZE": "4"},
    ],
)
def test_a_process_without_others_is_alone(launched_with, variables):
    assert launched_with(variables) is None
    assert is_first()


def test_a_launcher_that_hides_the_number_is_an_error(launched_with):
    with pytest.raises(SettingError, match="does not say how many"):
        launched_with({"PMIX_RANK": "1"})
    assert not is_first()
