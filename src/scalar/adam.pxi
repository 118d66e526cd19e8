# Adam on Values; included by scalar.pyx.

from array import array

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.math cimport pow


cdef extern from "scalar/adam.h":
    int adam_update(
        Node *p, double *m, double *v, double lr, double beta1, double beta2, double eps, double c1, double c2)


@cython.binding(False)  # as for Value
cdef class Adam:
    """Adam(params, learning_rate=0.01, beta1=0.85, beta2=0.99, eps=1e-8)\n--\n\n\
Gradient descent with momentum and a step size for each parameter (Kingma and Ba, 2015).

    params: list of Values. m and v, the running means of the gradient and of its square, start at 0. num_steps is the
    number of updates made. A copy by copy.copy has moments of its own, and the same Values.
    """

    cdef list params
    cdef public object learning_rate, beta1, beta2, eps  # as they were given: an int stays one
    cdef public long long num_steps
    cdef double *m_
    cdef double *v_
    cdef dict odd  # index -> (m, v), where they are not both floats: for gradients that are numbers of another kind

    def __cinit__(self, params, *args, **kwargs):
        self.params, self.odd = list(params), {}
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
        return tuple([self._moments(i)[0] for i in range(len(self.params))])

    @m.setter
    def m(self, moments):
        self._set(moments, None)

    @property
    def v(self):
        """The second moment of each parameter, a tuple of floats. Assign a sequence of the same length to change it."""
        return tuple([self._moments(i)[1] for i in range(len(self.params))])

    @v.setter
    def v(self, moments):
        self._set(None, moments)

    cdef _set(self, first, second):
        moments = [float(moment) for moment in (second if first is None else first)]
        if len(moments) != len(self.params):
            raise ValueError(f"there are {len(self.params)} parameters, but {len(moments)} moments")
        for i, moment in enumerate(moments):
            m, v = self._moments(i)
            self._keep(i, m if first is None else moment, v if second is None else moment)

    cdef _moments(self, i):
        return self.odd[i] if i in self.odd else (self.m_[<Py_ssize_t> i], self.v_[<Py_ssize_t> i])

    cdef _keep(self, i, m, v):
        if type(m) is float and type(v) is float:
            self.m_[<Py_ssize_t> i], self.v_[<Py_ssize_t> i] = m, v
            self.odd.pop(i, None)
        else:
            self.odd[i] = m, v

    def __reduce__(self):
        numbers = self.learning_rate, self.beta1, self.beta2, self.eps, self.num_steps
        m = array("d", [self.m_[i] for i in range(len(self.params))])
        v = array("d", [self.v_[i] for i in range(len(self.params))])
        return copyreg.__newobj__, (type(self), self.params), (numbers, (m, v), dict(self.odd), getattr(self, "__dict__", None))

    def __setstate__(self, state):
        (self.learning_rate, self.beta1, self.beta2, self.eps, self.num_steps), (self.m, self.v), odd, attributes = state
        for i, (m, v) in odd.items():
            self._keep(range(len(self.params))[i], m, v)  # IndexError if there is no such parameter
        if attributes:
            self.__dict__.update(attributes)

    def step(self, learning_rate=None):
        """Update every parameter from its gradient, then set the gradient to 0.

        learning_rate: for this step; by default the constructor's. OverflowError, as in the reference, if the square of
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
            if (self.odd and i in self.odd) or not adam_update(
                <Node *> p, &self.m_[i], &self.v_[i], lr, beta1, beta2, self.eps, c1, c2
            ):
                slow_path = fallback()
                # three steps, because the changes of one remain if the next fails
                m, v = self._moments(i)
                m = slow_path.first_moment(m, p, self.beta1)
                self._keep(i, m, v)
                v = slow_path.second_moment(v, p, self.beta2)
                self._keep(i, m, v)
                rate, t = self.learning_rate if learning_rate is None else learning_rate, self.num_steps + 1
                slow_path.adam_update(p, m, v, rate, self.eps, 1 - self.beta1**t, 1 - self.beta2**t)
        self.num_steps += 1
