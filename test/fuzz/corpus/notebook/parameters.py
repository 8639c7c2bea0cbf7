import a
x = 1  # note
y: int = -0x1f; z = {'a': [1.5, None, "\u2603\n", r'\d'], 2: (True,)}
t = 1, 'b' "c"
u = v = lambda w=1: f'{w}'
%time x
!ls "it's
