# SPDX-License-Identifier: Apache-2.0
"""The LeOPArd engine: digit-serial scores that end as soon as they are below the threshold."""
