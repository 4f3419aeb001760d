# Part of _native.pyx: C that Cython cannot express, each piece a few instructions long.

cdef extern from *:
    """
    #include <string.h>
    #include "frame/header.h"
    static inline void no_view(Py_buffer *view) { view->obj = NULL; }
    static inline void end_view(Py_buffer *view) { if (view->obj) PyBuffer_Release(view); }
    static inline void prefetch(const void *p) { __builtin_prefetch(p); }
    /* Cuts new bytes that nobody else has seen. In place, because _PyBytes_Resize may fail, and
     * then takes with it the frames that are in them. */
    static inline void shorten(PyObject *data, Py_ssize_t size) {
        if (PyBytes_GET_SIZE(data) == size) return;
        Py_SET_SIZE((PyVarObject *)data, size);
        PyBytes_AS_STRING(data)[size] = 0;
    }
    /* A new instance, whose __init__ does not run. */
    static inline PyObject *blank(PyObject *type) {
        static PyObject *nothing = NULL;
        if (!nothing && !(nothing = PyTuple_New(0))) return NULL;
        return ((PyTypeObject *)type)->tp_new((PyTypeObject *)type, nothing, NULL);
    }
    /* A view of a part of a flat view. No other code has seen the new view when it is changed. */
    static inline PyObject *narrowed(PyObject *flat, int64_t start, int64_t size) {
        PyObject *row = PyMemoryView_FromObject(flat);
        if (!row) return NULL;
        Py_buffer *view = PyMemoryView_GET_BUFFER(row);
        view->buf = (char *)view->buf + start;
        view->len = view->shape[0] = size;
        return row;
    }
    static inline PyObject *column_view(PyObject *block, Py_ssize_t start, Py_ssize_t width,
                                        Py_ssize_t count, Py_UCS4 code) {
        PyObject *column = narrowed(block, start, width * count);
        if (!column) return NULL;
        Py_buffer *view = PyMemoryView_GET_BUFFER(column);
        view->format = code == 'q' ? "q" : code == 'Q' ? "Q" : code == 'i' ? "i" : "B";
        view->itemsize = view->strides[0] = width;
        view->shape[0] = count;
        return column;
    }
    static inline int is_flat(PyObject *memory) {
        Py_buffer *view = PyMemoryView_GET_BUFFER(memory);
        return view->ndim == 1 && view->itemsize == 1 && PyBuffer_IsContiguous(view, 'C') &&
               (!view->format || !strcmp(view->format, "B"));
    }
    /* Whether the object is a contiguous row of signed integers of this width; then it is held. */
    static inline int get_integers(PyObject *values, Py_buffer *view, Py_ssize_t width) {
        if (PyObject_GetBuffer(values, view, PyBUF_ND | PyBUF_FORMAT) < 0) {
            PyErr_Clear();
            view->obj = NULL;
            return 0;
        }
        const char *format = view->format ? view->format : "B";
        if (view->ndim == 1 && view->itemsize == width && format[0] && !format[1] &&
            strchr("qli", format[0])) return 1;
        PyBuffer_Release(view);
        view->obj = NULL;
        return 0;
    }
    static inline Py_ssize_t first_outside(const int64_t *starts, const int32_t *sizes,
                                           Py_ssize_t count, size_t room) {
        uint64_t bad = 0;          /* in its highest bit; a start of 2^62 or more is bad, too */
        Py_ssize_t i;
        for (i = 0; i < count; i++) {
            uint64_t start = (uint64_t)starts[i], size = (uint64_t)(int64_t)sizes[i];
            bad |= start | start << 1 | size | (room - start - size);
        }
        if (!(bad >> 63)) return count;
        for (i = 0; i < count; i++)
            if (starts[i] < 0 || sizes[i] < 0 || starts[i] > (int64_t)room - sizes[i]) break;
        return i;
    }
    /* Inlined: a call would take as long as parsing does. */
    static inline int read_header(const uint8_t *in, size_t size, int strict, sfr_header *out) {
        uint64_t words[3];
        return sfr_header_read(in, size, strict, words, out);
    }
    /* Calls of a class with three positional arguments skip the tuple that type.__call__ needs. */
    typedef PyObject *(*class_call)(PyObject *, PyObject *const *, size_t, PyObject *);
    static inline void call_directly(PyObject *type, class_call call) {
        ((PyTypeObject *)type)->tp_vectorcall = call;
    }
    static inline PyObject *call_by_tuple(PyObject *type, PyObject *const *args, size_t count,
                                          PyObject *names) {
        Py_ssize_t i, given = PyVectorcall_NARGS(count);
        PyObject *result = NULL, *tuple = PyTuple_New(given), *named = names ? PyDict_New() : NULL;
        if (!tuple || (names && !named)) goto done;
        for (i = 0; i < given; i++) PyTuple_SET_ITEM(tuple, i, Py_NewRef(args[i]));
        for (i = 0; names && i < PyTuple_GET_SIZE(names); i++)
            if (PyDict_SetItem(named, PyTuple_GET_ITEM(names, i), args[given + i]) < 0) goto done;
        result = PyType_Type.tp_call(type, tuple, named);
    done:
        Py_XDECREF(tuple);
        Py_XDECREF(named);
        return result;
    }
    /* The docstring of a class of C, which its source would have to repeat. */
    static inline int set_doc(PyObject *type, PyObject *doc) {
        PyTypeObject *written = (PyTypeObject *)type;
        if (PyDict_SetItemString(written->tp_dict, "__doc__", doc) < 0) return -1;
        written->tp_doc = NULL;     /* which would be read first */
        PyType_Modified(written);
        return 0;
    }
    /* An index, clipped to what a size can say. */
    static inline Py_ssize_t as_position(PyObject *row) { return PyNumber_AsSsize_t(row, NULL); }
    /* Other threads read these flags while one sets them; without a GIL they must be atomic. */
    static inline int flags_of(const int *flags) {
        return __atomic_load_n(flags, __ATOMIC_ACQUIRE);
    }
    static inline void change_flag(int *flags, int flag, int on) {
        if (on) __atomic_fetch_or(flags, flag, __ATOMIC_RELEASE);
        else __atomic_fetch_and(flags, ~flag, __ATOMIC_RELEASE);
    }
    /* For comparing alone, so its type does not matter; gcc 14 refuses to mix pointers. */
    static inline const void *type_of(PyObject *obj) { return Py_TYPE(obj); }
    #ifdef Py_GIL_DISABLED
    static inline int serialize_callers(void) { return 0; }
    #else
    static inline int serialize_callers(void) { sfr_serialize_callers(); return 1; }
    #endif
    """
    void no_view(Py_buffer *)
    void end_view(Py_buffer *)
    void prefetch(const void *)
    PyObject *PyTuple_GET_ITEM(tuple, Py_ssize_t)      # a borrowed reference
    Py_ssize_t PyTuple_GET_SIZE(tuple)
    const void *type_of(PyObject *)
    PyObject *new_bytes "PyBytes_FromStringAndSize"(const char *, Py_ssize_t) except NULL
    void set_item "PyList_SET_ITEM"(object, Py_ssize_t, PyObject *)      # steals the item
    void shorten(object data, Py_ssize_t size)
    object blank(object type)
    object narrowed(object flat, int64_t start, int64_t size)
    object column_view(object block, Py_ssize_t start, Py_ssize_t width, Py_ssize_t count,
                       Py_UCS4 code)
    bint is_flat(object memory)
    bint get_integers(object values, Py_buffer *, Py_ssize_t width)
    Py_ssize_t first_outside(const int64_t *, const int32_t *, Py_ssize_t count, size_t room)
    int read_header(const uint8_t *, size_t size, int strict, sfr_header *)
    ctypedef object (*class_call)(object, PyObject **, size_t, PyObject *)
    void call_directly(object type, class_call)
    object call_by_tuple(object type, PyObject **args, size_t count, PyObject *names)
    Py_ssize_t PyVectorcall_NARGS(size_t)
    Py_ssize_t as_position(object row) except? -1
    int set_doc(object type, object doc) except -1
    int flags_of(const int *)
    void change_flag(int *, int flag, bint on)
    PyObject **PySequence_Fast_ITEMS(object)           # of a list or tuple; borrowed
    Py_ssize_t PySequence_Fast_GET_SIZE(object)
    bint serialize_callers()
