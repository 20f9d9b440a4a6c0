"""What several learners share: each module is one idea, and knows no learner that uses it."""
