# Adam on Values; included by scalar.pyx.

from array import array

from cpython.mem cimport PyMem_Calloc
from libc.math cimport pow


cdef extern from "scalar/adam.h":
    int adam_update(
        Node *p, double *m, double *v, double lr, double beta1, double beta2, double eps, double c1, double c2)
    bint adam_in_range(double lr, double beta1, double beta2, double eps, double c1, double c2)
    bint adam_moments_in_range(const double *m, const double *v, Py_ssize_t n)
    bint adam_gather(list params, double *data, double *gradients)
    void adam_scatter(list params, const double *data)


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
    cdef double[::1] m_, v_, data, gradients  # the last two: the parameters', in a step
    cdef tuple arrays  # whose memory these are: data, gradients, m, v
    cdef object kernel  # of a step of all parameters at once; None if one is there twice
    cdef bint in_range  # the moments are known to be in its range
    cdef dict odd  # index -> (m, v), where they are not both floats: for gradients that are numbers of another kind

    def __cinit__(self, params, *args, **kwargs):
        self.params, self.odd = list(params), {}
        for p in self.params:
            if not isinstance(p, Value):
                raise TypeError(f"Adam's parameters must be Values, not {type(p).__name__}")
        self.arrays = tuple([array("d", bytes(8 * len(self.params))) for _ in range(4)])
        self.data, self.gradients, self.m_, self.v_ = self.arrays
        if self.params and len({id(p) for p in self.params}) == len(self.params):  # mutant: parameter-twice
            from microgpt.compiled.exact import AdamKernel  # here, because scripts need only Values
            self.kernel = AdamKernel()

    def __init__(self, params, learning_rate=0.01, beta1=0.85, beta2=0.99, eps=1e-8):
        self.learning_rate, self.beta1, self.beta2, self.eps = learning_rate, beta1, beta2, eps
        self.num_steps = 0

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
        self.in_range = False
        if type(m) is float and type(v) is float:
            self.m_[<Py_ssize_t> i], self.v_[<Py_ssize_t> i] = m, v
            self.odd.pop(i, None)
        else:
            self.odd[i] = m, v

    def __reduce__(self):
        numbers = self.learning_rate, self.beta1, self.beta2, self.eps, self.num_steps
        m, v = self.arrays[2:]
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
        if self.kernel is not None and not self.odd and adam_in_range(lr, beta1, beta2, self.eps, c1, c2):
            self.in_range = self.in_range or adam_moments_in_range(&self.m_[0], &self.v_[0], self.m_.shape[0])
            if self.in_range and adam_gather(self.params, &self.data[0], &self.gradients[0]):
                self.kernel(*self.arrays, lr, beta1, beta2, self.eps, c1, c2)
                adam_scatter(self.params, &self.data[0])
                self.num_steps += 1
                return
        self.in_range = False
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
