"""What a worker process answers when something is wrong with the answer itself."""

import pickle
from types import SimpleNamespace

from hpsearch.errors import DataError
from hpsearch.executors.messages import Call, Raised
from hpsearch.executors.serve import answer


def test_an_error_whose_values_do_not_pickle_comes_back_with_their_texts() -> None:
    def describe_data() -> None:
        raise DataError("no such column", code="unknown-column", columns={"a": 1}.keys(), row=3)

    raised = pickle.loads(
        pickle.dumps(answer(SimpleNamespace(describe_data=describe_data), Call("describe_data", (), {})))
    )
    assert isinstance(raised, Raised)
    assert raised.error.code == "data.unknown-column"
    assert raised.error.values == {"columns": "dict_keys(['a'])", "row": "3"}
