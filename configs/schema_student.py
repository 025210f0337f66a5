"""What the student is: the section `student`."""

from pydantic import Field

from configs.section import Count, Section


class StudentConfig(Section):
    """The small model, cut out of the teacher."""

    layers: Count = Field(description="layers kept, the most influential ones")
    calibration_tokens: Count = Field(description="tokens on which the layers' influence is measured")
    max_parameters: Count = Field(description="a larger student is refused, parameters")
