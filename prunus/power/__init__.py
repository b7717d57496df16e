# SPDX-License-Identifier: Apache-2.0
"""What heads cost in energy: counted in the gates of the emitted RTL while they run."""
