# Adam on Values; included by scalar.pyx.

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.math cimport pow


cdef extern from "scalar/adam.h":
    int adam_update(
        Node *p, double *m, double *v, double lr, double beta1, double beta2, double eps, double c1, double c2)


@cython.binding(False)  # as for Value
cdef class Adam:
    """Gradient descent with momentum and a step size for each parameter (Kingma and Ba, 2015).

    params: list of Values. m and v, the running means of the gradient and of its square, start at 0. num_steps is the
    number of updates made.
    """

    cdef list params
    cdef public double learning_rate, beta1, beta2, eps
    cdef public long long num_steps
    cdef double *m_
    cdef double *v_

    def __cinit__(self, params, *args, **kwargs):
        self.params = list(params)
        for p in self.params:
            if not isinstance(p, Value):
                raise TypeError(f"Adam's parameters must be Values, not {type(p).__name__}")
        self.m_ = <double *> PyMem_Calloc(len(self.params) or 1, sizeof(double))
        self.v_ = <double *> PyMem_Calloc(len(self.params) or 1, sizeof(double))
        if self.m_ is NULL or self.v_ is NULL:
            raise MemoryError()

    def __init__(self, params, learning_rate=0.01, beta1=0.85, beta2=0.99, eps=1e-8):
        self.learning_rate, self.beta1, self.beta2, self.eps = learning_rate, beta1, beta2, eps
        self.num_steps = 0

    def __dealloc__(self):
        PyMem_Free(self.m_)
        PyMem_Free(self.v_)

    @property
    def m(self):
        """The first moment of each parameter, a tuple of floats. Assign a sequence of the same length to change it."""
        return tuple([self.m_[i] for i in range(len(self.params))])

    @m.setter
    def m(self, moments):
        self._set(self.m_, moments)

    @property
    def v(self):
        """The second moment of each parameter, a tuple of floats. Assign a sequence of the same length to change it."""
        return tuple([self.v_[i] for i in range(len(self.params))])

    @v.setter
    def v(self, moments):
        self._set(self.v_, moments)

    cdef _set(self, double *to, moments):
        moments = [float(moment) for moment in moments]
        if len(moments) != len(self.params):
            raise ValueError(f"there are {len(self.params)} parameters, but {len(moments)} moments")
        for i in range(len(moments)):
            to[i] = moments[i]

    def step(self, learning_rate=None):
        """Update every parameter from its gradient, then set the gradient to 0.

        learning_rate: of this step; by default the constructor's. OverflowError, as in the reference, if the square of
        a gradient is out of range.
        """
        cdef double lr = self.learning_rate if learning_rate is None else learning_rate
        cdef double beta1 = self.beta1, beta2 = self.beta2
        cdef double c1 = 1 - pow(beta1, self.num_steps + 1)
        cdef double c2 = 1 - pow(beta2, self.num_steps + 1)
        cdef Py_ssize_t i
        cdef object p
        for i in range(len(self.params)):
            p = self.params[i]
            if not adam_update(<Node *> p, &self.m_[i], &self.v_[i], lr, beta1, beta2, self.eps, c1, c2):
                slow_path = fallback()
                # three steps, because what one has changed remains if the next one fails
                self.m_[i] = slow_path.first_moment(self.m_[i], p, beta1)
                self.v_[i] = slow_path.second_moment(self.v_[i], p, beta2)
                slow_path.adam_update(p, self.m_[i], self.v_[i], lr, self.eps, c1, c2)
        self.num_steps += 1
