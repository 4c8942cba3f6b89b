"""A document of our own to read."""

TEXT = """\
The kettle arrived on Tuesday, two days after the shop in Leeds had promised it, in a box with one torn corner. I had almost given
up on it and asked for my money back, but the woman on the telephone was so friendly that I decided to wait. It boils a litre in less
than three minutes, it is quiet, and the handle stays cool; what I do not like is the lid, which sticks whenever steam has gone into
the hinge, and the cord, which is too short for our kitchen. My neighbour Harold bought the larger one from Brenner and Sons last
spring and complains about the very same hinge, so it seems that nobody at the factory has listened. For the price I would buy it
again, though not as a present. The filter can be taken out and washed, the spare one costs four pounds, and the little window on the
side shows how much water is left, which my old kettle never did. If they mend the lid it will be the best that I have had in years.
"""
