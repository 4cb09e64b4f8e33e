"""CNN8, CNN8 with prototypes, and their dilated relatives (Ren et al. 2022; Chang et al. 2022)."""
