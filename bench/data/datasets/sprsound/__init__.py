"""SPRSound 2022: lung sounds of children, with labels of events and of whole recordings."""
